"""Leaves laid out as they are read, and what that takes of the host's memory."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from safetensors.numpy import save_file

from fsl_jax.models.tensors.placing import place_leaf
from fsl_jax.models.tensors.stored import StoredLeaf
from fsl_jax.sharding import make_mesh

VALUES = np.arange(3 * 8 * 4, dtype=np.float32).reshape(3, 8, 4)


@pytest.mark.parametrize("axes", [(None, "model", None), (None, "batch", "model"), ()])
@pytest.mark.parametrize("stacked", [True, False])
def test_each_device_gets_its_part(axes, stacked):
    sharding = NamedSharding(make_mesh(batch=2, model=4), PartitionSpec(*axes))
    read = []

    def layer(number):
        read.append(number)
        return VALUES if number is None else VALUES[number]

    leaf = place_leaf(
        StoredLeaf(VALUES.shape, layer, 3 if stacked else None), jnp.bfloat16, sharding
    )
    assert leaf.sharding == sharding
    assert leaf.dtype == jnp.bfloat16
    np.testing.assert_array_equal(np.asarray(leaf, np.float32), VALUES)
    assert read == ([0, 1, 2] if stacked else [None])


def test_without_a_sharding_it_is_on_the_first_device():
    leaf = place_leaf(StoredLeaf(VALUES.shape, VALUES.__getitem__, 3), jnp.float32, None)
    assert leaf.devices() == {jax.devices()[0]}
    np.testing.assert_array_equal(leaf, VALUES)


# Prints the most memory of its own that the process had above what it began with, and what the
# parameters and the largest leaf take. What is mapped from files is the system's to take back.
MEMORY = """
import pathlib, sys, threading, time
import jax
from fsl_jax.models import loading
from fsl_jax.sharding import make_mesh

def anonymous():
    status = pathlib.Path("/proc/self/status").read_text()
    return 1024 * int(status.split("RssAnon:")[1].split()[0])

mesh = make_mesh(model=8)
config = loading.read_directory(pathlib.Path(sys.argv[1])).config
jax.block_until_ready(jax.device_put(0.0))
start, highest, ended = anonymous(), 0, threading.Event()

def watch():
    global highest
    while not ended.is_set():
        highest = max(highest, anonymous())
        time.sleep(0.0005)

watcher = threading.Thread(target=watch)
watcher.start()
pretrained = loading.load(sys.argv[1], mesh=mesh)
jax.block_until_ready(pretrained.params)
ended.set()
watcher.join()
sizes = [leaf.nbytes for leaf in jax.tree.leaves(pretrained.params)]
held = [shard.data.nbytes for leaf in jax.tree.leaves(pretrained.params)
        for shard in leaf.addressable_shards]
print(highest - start, sum(held), max(sizes))
"""


def test_loading_onto_eight_devices_holds_little_more_than_the_largest_leaf(
    tmp_path, word_tokenizer
):
    import transformers

    width, inner, layers = 256, 4096, 12
    config = transformers.LlamaConfig(
        vocab_size=1024,
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=8,
        num_key_value_heads=8,
        tie_word_embeddings=True,
    )
    shapes = {"model.embed_tokens.weight": (1024, width), "model.norm.weight": (width,)}
    for layer in range(layers):
        name = f"model.layers.{layer}"
        for part in ("q", "k", "v", "o"):
            shapes[f"{name}.self_attn.{part}_proj.weight"] = (width, width)
        shapes |= {f"{name}.mlp.{part}_proj.weight": (inner, width) for part in ("gate", "up")}
        shapes[f"{name}.mlp.down_proj.weight"] = (width, inner)
        for norm in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"{name}.{norm}.weight"] = (width,)
    draw = np.random.default_rng(0).standard_normal
    weights = {name: draw(shape, np.float32) for name, shape in shapes.items()}
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(tmp_path)
    word_tokenizer.save_pretrained(tmp_path)
    ended = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path)], capture_output=True, text=True, check=True
    )
    taken, parameters, largest = map(int, ended.stdout.split())
    assert largest > 0.2 * parameters
    assert taken < parameters + 1.3 * largest
