"""The tensor rules of whole modules, from which families build their tensor maps."""

from collections.abc import Mapping

from fsl_jax.models.tensors.tensor_map import TRANSPOSE, TensorRule, Transform

OUTPUT = "lm_head.weight"
"""The name of a decoder's output embedding."""


def embedding_rules(embeddings: Mapping[str, str]) -> tuple[TensorRule, ...]:
    """Return the rules of embeddings, given the paths of modules by name."""
    return tuple(
        TensorRule(f"{name}.weight", f"{path}/embedding") for name, path in embeddings.items()
    )


def dense_rules(
    layers: Mapping[str, str], transform: Transform = TRANSPOSE, *, bias: bool = True
) -> tuple[TensorRule, ...]:
    """Return the rules of linear layers, given the paths of modules by name.

    Args:
      layers: the paths of the layers in the tree by their names in a checkpoint.
      transform: the change of a weight into a kernel.
      bias: True if the layers have a bias.

    Returns:
      The rules of all kernels, then those of the biases.
    """
    kernels = (
        TensorRule(f"{name}.weight", f"{path}/kernel", transform) for name, path in layers.items()
    )
    biases = (TensorRule(f"{name}.bias", f"{path}/bias") for name, path in layers.items())
    return (*kernels, *(biases if bias else ()))


def norm_rules(norms: Mapping[str, str], *, bias: bool = True) -> tuple[TensorRule, ...]:
    """Return the rules of norms, given the paths of modules by name: scales, then biases."""
    scales = (TensorRule(f"{name}.weight", f"{path}/scale") for name, path in norms.items())
    biases = (TensorRule(f"{name}.bias", f"{path}/bias") for name, path in norms.items())
    return (*scales, *(biases if bias else ()))


def output_rules(tied: bool) -> tuple[TensorRule, ...]:
    """Return the rules of a decoder's output embedding; a tied one has none."""
    return () if tied else (TensorRule(OUTPUT, "unembedding/kernel", TRANSPOSE),)
