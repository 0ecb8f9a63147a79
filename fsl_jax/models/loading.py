"""Loading a pretrained model by its name."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from fsl_jax.errors import InputError
from fsl_jax.models.checkpoint import Checkpoint
from fsl_jax.models.directory_checkpoint import read_directory
from fsl_jax.models.families import initialise, module_of
from fsl_jax.models.gguf_checkpoint import read_gguf_checkpoint
from fsl_jax.models.locate import locate
from fsl_jax.models.outputs import Params
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.sharding import parameter_shardings, place, require_divided


def load(name: str, dtype: Any = jnp.float32, mesh: jax.sharding.Mesh | None = None) -> Pretrained:
    """Loads a pretrained model.

    >>> pretrained = fsl_jax.load("smollm2-135m")
    >>> batch = pretrained.tokenizer(["A movie worth its"], return_tensors="np")
    >>> tokens, mask = batch["input_ids"], batch["attention_mask"].astype(bool)
    >>> output = pretrained.apply(pretrained.params, tokens.astype("int32"), mask)

    Args:
      name: an embedded name (`minilm-l6`, `smollm2-135m`), a Hugging Face id, a directory that a
        Hugging Face model was saved to, or a `.gguf` file.
      dtype: of weights and activations; softmax, norms and logits stay in float32.
      mesh: the devices to lay the weights out on, by the table of `fsl_jax.sharding`; by default
        they are on the first device.

    Returns:
      The model.

    Raises:
      InputError: there is no such model, or it cannot be used; the message says why.
    """
    path = locate(name)
    checkpoint = read_gguf_checkpoint(path) if path.is_file() else read_directory(path)
    _check_vocabulary(name, checkpoint)
    return Pretrained(
        name=name,
        config=checkpoint.config,
        module=module_of(checkpoint.config, dtype),
        params=_place(checkpoint, dtype, mesh),
        tokenizer=checkpoint.tokenizer,
        sha256=checkpoint.sha256,
    )


def _check_vocabulary(name: str, checkpoint: Checkpoint) -> None:
    tokens, rows = len(checkpoint.tokenizer), checkpoint.config.vocab_size
    if tokens > rows:
        raise InputError(
            f"{name}: the tokenizer has {tokens} tokens and the model embeds {rows}. Use the "
            "tokenizer and the weights of the same checkpoint."
        )


def _place(checkpoint: Checkpoint, dtype: Any, mesh: jax.sharding.Mesh | None) -> Params:
    """Casts the leaves and puts them on devices, one after the other."""
    if mesh is None:
        layout = {}
    else:
        shapes = jax.eval_shape(lambda: initialise(checkpoint.config, jax.random.key(0)))
        shardings = parameter_shardings(shapes, mesh)
        require_divided(shardings, mesh)
        layout = flatten_dict(shardings, sep="/")

    def put(path: str, leaf: np.ndarray) -> jax.Array:
        cast = np.asarray(leaf, jnp.dtype(dtype))
        return place(cast, layout[path]) if layout else jax.device_put(cast)

    return unflatten_dict({path: put(path, leaf) for path, leaf in checkpoint.leaves}, sep="/")
