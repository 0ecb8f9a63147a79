"""Compiles the LoRA program of smollm2-135m for a TPU topology, and prints what a chip needs.

A TPU is not needed: the compiler of `jax[tpu]` runs anywhere. Its library wants a process of its
own. Prints one JSON line with the bytes that a chip needs, and those of the base.
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
from fsl_jax.models.families.llama.model import LlamaConfig
from fsl_jax.models.families.registry import initialise, module_of
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.sharding import make_mesh
from fsl_jax.tasks import Template, TemplateFormulation, Verbalizer
from fsl_jax.training.fit_config import FitConfig
from fsl_jax.training.program import compile_program
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
        chunks = -(-examples // SETTINGS.evaluation_batch)
        chunked = (count, chunks, -(-examples // chunks))
        runs = Runs(
            frozen_leaves=stack.frozen_leaves,
            learning_rate=jnp.zeros(count),
            weight_decay=jnp.zeros(count),
            key=jnp.stack([run_key(seed) for seed in range(count)]),
            order=jnp.zeros((count, SETTINGS.steps, BATCH), jnp.int32),
            validation=jnp.zeros(chunked, jnp.int32),
            weight=jnp.zeros(chunked),
        )
        return stack.trainable, runs, stack.shared

    return jax.eval_shape(draw, formulation.pretrained.params)


def main(topology, runs, dtype):
    """Compile for a topology and print the memory that a chip needs."""
    description = topologies.get_topology_desc(platform="tpu", topology_name=topology)
    mesh = make_mesh(runs=len(description.devices), devices=description.devices)
    formulation = TemplateFormulation(
        pretrained(dtype), LABELS, Template("{text} Topic :"), Verbalizer.from_mapping(LABELS, None)
    )
    rows = runs * 2 * len(LABELS) * SHOTS
    pool = {
        "input_ids": jax.ShapeDtypeStruct((rows, TOKENS), np.int32),
        "attention_mask": jax.ShapeDtypeStruct((rows, TOKENS), bool),
        "label": jax.ShapeDtypeStruct((rows,), np.int32),
    }
    trainable, by_run, shared = shapes_of_runs(formulation, runs)
    program = compile_program(
        formulation, LoRA(rank=8), SETTINGS, runs, trainable, by_run, shared, pool, mesh
    )
    found = {
        "platform": mesh.devices.flat[0].platform,
        "memory": program.memory,
        "base": sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shared)),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
