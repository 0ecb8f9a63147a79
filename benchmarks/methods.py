"""Make the table of docs/methods.md: the parameters, memory and cost of each method.

Example: `python -m benchmarks.methods --page=docs/methods.md`

Nothing is timed. The columns are: trained parameters without a task's head; the memory of a
compiled program that trains one run, without the base model's; and the operations of a training
step in matrix products, over those of the forward pass of the base. The model is `minilm-l6` with
16 texts of 32 tokens. A method's line names the families whose models read its leaves.
"""

import functools
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from benchmarks.tiny_configs import tiny_configs
from benchmarks.variants import VARIANTS, lines
from fsl_jax.adapt.attach import attach
from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.methods.registry import parse_method
from fsl_jax.adapt.peft.kinds import KINDS
from fsl_jax.adapt.summary import count_parameters
from fsl_jax.adapt.tree import Params
from fsl_jax.errors import InputError
from fsl_jax.formulations.batches import unpacked_batch
from fsl_jax.formulations.heads.head import HeadFormulation
from fsl_jax.models.families.registry import Config, initialise, module_of
from fsl_jax.models.loading import load
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.operations import product_operations
from fsl_jax.packing.planning import place_chunks, place_steps
from fsl_jax.packing.pool import make_pool
from fsl_jax.pages import write_between
from fsl_jax.studies.reporting.table import markdown_table
from fsl_jax.training.fit import make_gradient
from fsl_jax.training.fit_config import FitConfig
from fsl_jax.training.program import compile_program
from fsl_jax.training.stacked_runs import StackedRuns, run_key, stack_runs
from fsl_jax.training.state import Runs

_PAGE = flags.DEFINE_string("page", None, "A page whose table is replaced by the one made.")

START, END = "<!-- methods -->", "<!-- end of methods -->"
HEADINGS = (
    "method",
    "trained parameters",
    "memory (MiB)",
    "operations of a step, forward passes",
    "families",
    "PEFT",
    "paper",
)
BATCH, TOKENS, LABELS = 16, 32, ("a", "b")
TEXTS = [[0] * TOKENS] * BATCH
FIT_CONFIG = FitConfig(steps=10, batch_size=BATCH, evaluate_every=10)


@functools.cache
def tiny_models() -> dict[str, Pretrained]:
    """Make a model of each family with random parameters, and without a tokenizer."""

    def model(name: str, config: Config) -> Pretrained:
        params = initialise(config, jax.random.key(0))
        return Pretrained(name, config, module_of(config), params, None, "")  # type: ignore[arg-type]

    return {name: model(name, config) for name, config in tiny_configs(32, 64).items()}


def families(method: Method) -> str:
    """Name the families that read a method's leaves and have parameters for it to train."""
    ids, mask = jnp.zeros((2, 6), jnp.int32), jnp.ones((2, 6), bool)
    names = []
    for name, model in tiny_models().items():
        more = {"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}
        forward = functools.partial(_hidden, model, ids, mask, more)
        head = {"kernel": jnp.zeros((16, 2)), "bias": jnp.zeros(2)}
        try:
            attach(model.params | {"head": head}, method, jax.random.key(0), forward)
        except InputError:
            continue
        names.append(name)
    return ", ".join(names)


def _hidden(
    model: Pretrained, ids: jax.Array, mask: jax.Array, more: dict[str, Any], params: Params
) -> jax.Array:
    hidden = model.apply(params, ids, mask, **more).hidden
    return hidden[:, 0] @ params["head"]["kernel"] + params["head"]["bias"][None]


class Measured:
    """A method on `minilm-l6`."""

    def __init__(self, formulation: HeadFormulation, method: Method):
        """Prepare one run.

        Args:
          formulation: a head on the model.
          method: the method.
        """
        self.formulation, self.method = formulation, method
        base = formulation.pretrained.params

        def forward(params: Params) -> jax.Array:
            return formulation.outputs(params, unpacked_batch(formulation.segments(params, TEXTS)))

        stack: StackedRuns = stack_runs(formulation, base, [method], [0], forward)
        shapes = stack.models.shapes
        segments = formulation.segments(shapes, TEXTS)
        self.stack, self.batch = stack, unpacked_batch(segments)
        self.pool = make_pool(segments)

    @property
    def trained(self) -> int:
        """The number of trained parameters without the head's."""
        shapes = self.stack.shapes[0]
        return count_parameters({p: s for p, s in shapes.items() if not p.startswith("head/")})

    def memory(self) -> float:
        """Return the MiB of the compiled program without the base model's."""
        stack, lengths = self.stack, self.pool.lengths
        order = np.tile(np.arange(BATCH, dtype=np.int32), (1, FIT_CONFIG.steps, 1))
        runs = Runs(
            frozen_leaves=stack.frozen_leaves,
            learning_rate=jnp.ones(1),
            weight_decay=jnp.zeros(1),
            key=jnp.stack([run_key(0)]),
            training=place_steps(lengths, order),
            validation=place_chunks(lengths, [order[0, 0]]),
            rate_factors=stack.rate_factors,
        )
        arguments = (FIT_CONFIG, 1, stack.trainable, runs, stack.shared, self.pool)
        program = compile_program(self.formulation, self.method, *arguments)
        base = sum(leaf.nbytes for leaf in jax.tree.leaves(stack.shared))
        return (program.memory - base) / 2**20

    def cost(self) -> float:
        """Return the operations of a step over those of the base's forward pass."""
        of_run = jax.tree.map(
            lambda leaf: leaf[0], (self.stack.trainable, self.stack.frozen_leaves)
        )
        gradient = make_gradient(self.formulation, self.method, FIT_CONFIG)
        step = product_operations(gradient, *of_run, self.stack.shared, self.batch)
        params = self.formulation.prepare(self.formulation.pretrained.params, jax.random.key(0))
        forward = functools.partial(self.formulation.outputs, batch=unpacked_batch(TEXTS))
        return step / product_operations(forward, params)


def cells(formulation: HeadFormulation, text: str) -> list[str]:
    """Make the line of a method; settings that the text leaves out have their defaults."""
    method = parse_method(text)
    measured = Measured(formulation, method)
    kinds = [kind.peft_type for kind in KINDS if isinstance(method, kind.method)]
    return [
        f"`{text}`",
        f"{measured.trained:,}",
        f"{measured.memory():.0f}",
        f"{measured.cost():.2f}",
        families(method),
        ", ".join(kinds) or "-",
        VARIANTS.get(text) or method.paper,
    ]


def main(_: list[str]) -> None:
    """Print the table, and write it into a page if one is named."""
    formulation = HeadFormulation(load("minilm-l6", dtype=np.float32), LABELS)
    table = markdown_table(HEADINGS, [cells(formulation, text) for text in lines()], texts=1)
    print(table)
    if _PAGE.value:
        write_between(Path(_PAGE.value), START, END, table)


if __name__ == "__main__":
    app.run(main)
