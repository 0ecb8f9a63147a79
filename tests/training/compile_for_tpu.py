"""Compiles the LoRA program of smollm2-135m for a TPU topology.

A TPU is not needed: the compiler of `jax[tpu]` runs anywhere. Its library wants a process of its
own. `compile` prints one JSON line with the bytes that a chip needs, and those of the base.
`choose` prints one with the groups that were tried on a slice that is too small for all runs.
`refuse` prints one with the messages for what cannot be done.
"""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import topologies
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from fsl_jax.adapt import LoRA
from fsl_jax.errors import InputError
from fsl_jax.formulations import Template, TemplateFormulation, Verbalizer
from fsl_jax.models.families.llama.model import LlamaConfig
from fsl_jax.models.families.registry import initialise, module_of
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.packing.placements import Placements, RowShape
from fsl_jax.packing.pool import Pool
from fsl_jax.sharding import make_mesh
from fsl_jax.training.fit_config import FitConfig
from fsl_jax.training.program import compile_program
from fsl_jax.training.program_size import compile_largest
from fsl_jax.training.stacked_runs import run_key, stack_runs
from fsl_jax.training.state import Runs

SMOLLM2 = LlamaConfig(
    vocab_size=49152,
    hidden_size=576,
    mlp_size=1536,
    num_layers=30,
    num_heads=9,
    num_kv_heads=3,
    head_dim=64,
    max_length=8192,
    rope_theta=100_000.0,
)
BATCH, TOKENS, SHOTS = 8, 128, 16
LABELS = ("business", "entertainment", "politics", "sport", "tech")
CHIP_BYTES = 15 << 30
SETTINGS = FitConfig(steps=100, batch_size=BATCH)


def pretrained(dtype):
    """Return the model without weights, and with a vocabulary as large as the task needs."""
    vocabulary = {word: number for number, word in enumerate(["[PAD]", "Topic", ":", *LABELS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, "[PAD]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]")
    shapes = jax.eval_shape(lambda: initialise(SMOLLM2, jax.random.key(0), dtype))
    return Pretrained("smollm2", SMOLLM2, module_of(SMOLLM2, dtype), shapes, wrapped, "0" * 64)


def shapes_of_runs(formulation, count):
    """Return the shapes of the trainable leaves, the inputs of the runs, and the frozen base."""

    def draw(params):
        stack = stack_runs(formulation, params, [LoRA(rank=8)] * count, range(count))
        examples = len(LABELS) * SHOTS
        runs = Runs(
            frozen_leaves=stack.frozen_leaves,
            learning_rate=jnp.zeros(count),
            weight_decay=jnp.zeros(count),
            key=jnp.stack([run_key(seed) for seed in range(count)]),
            training=placements(count, SETTINGS.steps),
            validation=placements(count, examples // BATCH),
        )
        return stack.trainable, runs, stack.shared

    return jax.eval_shape(draw, formulation.pretrained.params)


def placements(*batches):
    """Return batches of texts that each fill a row."""
    shape = (*batches, BATCH)
    numbers = jnp.zeros(shape, jnp.int32)
    return Placements(numbers, numbers, jnp.zeros(shape), RowShape(BATCH, TOKENS, slots=1))


def compiler_for(description, runs, dtype):
    """Return a function that compiles any number of the runs for all chips, and the base."""
    mesh = make_mesh(runs=len(description.devices), devices=description.devices)
    formulation = TemplateFormulation(
        pretrained(dtype), LABELS, Template("{text} Topic :"), Verbalizer.from_mapping(LABELS, None)
    )
    examples = runs * 2 * len(LABELS) * SHOTS
    sizes = (examples * TOKENS, examples, examples, examples)
    pool = Pool(*(jax.ShapeDtypeStruct((size,), np.int32) for size in sizes))
    trainable, by_run, shared = shapes_of_runs(formulation, runs)

    def compile_size(size):
        return compile_program(
            formulation, LoRA(rank=8), SETTINGS, size, trainable, by_run, shared, pool, mesh
        )

    return compile_size, shared


def describe_topology(name):
    return topologies.get_topology_desc(platform="tpu", topology_name=name)


def compile_runs(topology, runs, dtype):
    """Compile for a topology, and return the memory that a chip needs."""
    description = describe_topology(topology)
    compile_size, shared = compiler_for(description, runs, dtype)
    return {
        "platform": description.devices[0].platform,
        "memory": compile_size(runs).memory,
        "base": sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shared)),
    }


def choose_groups(topology, runs, dtype):
    """Choose the group of runs that fits on a topology, and return the sizes that were tried."""
    compile_size, _ = compiler_for(describe_topology(topology), runs, dtype)
    sizes = []

    def compile_and_note(size):
        sizes.append(size)
        return compile_size(size)

    program = compile_largest(compile_and_note, runs, CHIP_BYTES, multiple=4)
    return {"sizes": sizes, "memory": program.memory}


def refused_by_chips():
    """Return what is refused: runs that need too much memory, and a mesh that splits an axis."""
    compile_size, _ = compiler_for(describe_topology("v5e:2x2"), 128, jnp.float32)
    devices = describe_topology("v6e:4x4").devices
    attempts = {
        "runs": lambda: compile_largest(compile_size, 128, CHIP_BYTES, multiple=128),
        "mesh": lambda: make_mesh(runs=8, batch=2, devices=devices),
    }
    messages = {}
    for name, attempt in attempts.items():
        try:
            attempt()
        except InputError as error:
            messages[name] = str(error)
    return messages


if __name__ == "__main__":
    command, *rest = sys.argv[1:]
    if command == "compile":
        results = compile_runs(rest[0], int(rest[1]), rest[2])
    elif command == "choose":
        results = choose_groups(rest[0], int(rest[1]), rest[2])
    else:
        results = refused_by_chips()
    print(json.dumps(results))
