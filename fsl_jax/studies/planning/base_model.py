"""Load the base model of a study or an evaluation from flag values."""

from typing import Any

import jax.numpy as jnp
from absl import logging
from etils import epath
from jax.sharding import Mesh

from fsl_jax.adapt.files.brought_base import brings_other_classes, head_for, with_brought_head
from fsl_jax.errors import InputError
from fsl_jax.models.attention.implementations import AUTO
from fsl_jax.models.loading import load
from fsl_jax.models.pretrained import Pretrained


def load_base(
    name: str,
    dtype: str = "auto",
    mesh: Mesh | None = None,
    attention: str = AUTO,
    adapter: epath.PathLike | None = None,
) -> Pretrained:
    """Load a base model.

    Args:
      name: the name, as for `fsl_jax.load`.
      dtype: `float32`, `bfloat16`, or `auto` for the default of `fsl_jax.load`.
      mesh: the mesh, if there are several devices.
      attention: the implementation of attention, as for `fsl_jax.load`.
      adapter: the directory of an adapter. One that PEFT made for classification gets the kind of
        head that it is for: its own, or the checkpoint's.

    Returns:
      The model.
    """
    chosen = None if dtype == "auto" else jnp.dtype(dtype)
    options: dict[str, Any] = {"dtype": chosen, "mesh": mesh, "attention": attention}
    head = None if adapter is None else head_for(adapter)
    if adapter is None or head is None:
        return load(name, **options)
    try:
        pretrained = load(name, head=head, **options)
        if not brings_other_classes(adapter, pretrained):
            return pretrained
    # The checkpoint lacks such a head; if something else is wrong, loading without one says so.
    except InputError as error:
        logging.info("%s is loaded without a head: %s", name, error)
    return with_brought_head(adapter, load(name, **options))
