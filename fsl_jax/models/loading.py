"""Load a pretrained model by its name."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict

from fsl_jax.errors import InputError
from fsl_jax.models.attention.implementations import AUTO
from fsl_jax.models.attention.self_attention import require_implementation
from fsl_jax.models.blocks.layers import PRNGKey
from fsl_jax.models.checkpoints.directory import read_directory
from fsl_jax.models.checkpoints.gguf_file import read_gguf_checkpoint
from fsl_jax.models.checkpoints.head_config import label_names
from fsl_jax.models.checkpoints.heads import require_head, require_special_tokens
from fsl_jax.models.checkpoints.new_head import with_head
from fsl_jax.models.families.registry import Config, module_of
from fsl_jax.models.locate import locate
from fsl_jax.models.outputs import Params
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.models.tensors.placing import place_leaf
from fsl_jax.models.tensors.stored import StoredLeaf
from fsl_jax.sharding import parameter_shardings, require_divided


def load(
    name: str,
    dtype: Any = None,
    mesh: jax.sharding.Mesh | None = None,
    *,
    attention: str = AUTO,
    head: str | None = None,
    num_labels: int | None = None,
    key: PRNGKey | None = None,
) -> Pretrained:
    """Load a pretrained model.

    >>> pretrained = fsl_jax.load("smollm2-135m")
    >>> batch = pretrained.tokenizer(["A movie worth its"], return_tensors="np")
    >>> tokens, mask = batch["input_ids"], batch["attention_mask"].astype(bool)
    >>> output = pretrained.apply(pretrained.params, tokens.astype("int32"), mask)

    Args:
      name: an embedded name (`minilm-l6`, `smollm2-135m`), a Hugging Face id, a directory with a
        saved Hugging Face model, or a `.gguf` file.
      dtype: the dtype of weights and activations; softmax, norms and logits stay in float32. By
        default float32 on a CPU, where bfloat16 is slow, and bfloat16 on accelerators.
      mesh: the devices over which the weights are sharded, as in `fsl_jax.sharding`; by default all
        weights are on the first device.
      attention: the implementation of attention, one of those in
        `fsl_jax.models.attention.self_attention`; T5 has its own.
      head: the kind of head, one of those in `fsl_jax.models.blocks.head_kinds`. By default a
        decoder has its language model head, and an encoder has none. A head that the checkpoint
        lacks is drawn at random, with a warning.
      num_labels: the number of classes of a head that classifies; by default the checkpoint's.
      key: a threefry key for drawing a new head; by default `jax.random.key(0)`.

    Returns:
      The model.

    Raises:
      InputError: there is no such model, or it cannot be used. The message says why.
    """
    require_implementation(attention)
    if dtype is None:
        dtype = jnp.float32 if jax.default_backend() == "cpu" else jnp.bfloat16
    path = locate(name)
    checkpoint = read_gguf_checkpoint(path) if path.is_file() else read_directory(path, head)
    config = _with_attention(name, checkpoint.config, attention)
    leaves, labels = dict(checkpoint.leaves), checkpoint.labels
    if head is not None:
        require_head(name, checkpoint.config, head, num_labels)
        require_special_tokens(name, checkpoint.config, head, checkpoint.tokenizer)
        key = jax.random.key(0) if key is None else key
        leaves = with_head(name, checkpoint.config, head, num_labels, key, leaves)
        labels = labels or label_names(name, {}, num_labels or 0)
    return Pretrained(
        name=name,
        config=config,
        module=module_of(config, dtype),
        params=_place(leaves, dtype, mesh),
        tokenizer=checkpoint.tokenizer,
        sha256=checkpoint.sha256,
        head=head,
        labels=labels,
        end_tokens=checkpoint.end_tokens,
        file_hashes=checkpoint.file_hashes,
        text_end=checkpoint.text_end,
    )


def _with_attention(name: str, config: Config, attention: str) -> Config:
    if attention == AUTO:
        return config
    if not hasattr(config, "attention"):
        raise InputError(
            f"{name}: attention of the family {config.family} adds a bias to scores, which only an "
            f"implementation of its own does. Leave attention={AUTO!r}."
        )
    return dataclasses.replace(config, attention=attention)


def _place(leaves: Mapping[str, StoredLeaf], dtype: Any, mesh: jax.sharding.Mesh | None) -> Params:
    """Read the leaves and put them on devices, one after the other."""
    if mesh is None:
        layout = {}
    else:
        shardings = parameter_shardings(unflatten_dict(dict(leaves), sep="/"), mesh)
        require_divided(shardings, mesh)
        layout = flatten_dict(shardings, sep="/")

    def put(path: str, leaf: StoredLeaf) -> jax.Array:
        return place_leaf(leaf, jnp.dtype(dtype), layout.get(path))

    return unflatten_dict({path: put(path, leaf) for path, leaf in leaves.items()}, sep="/")
