"""The names of the tensors of whole modules, which the tables of families are made of."""

from collections.abc import Mapping

from fsl_jax.models.tensors.tensor_map import TRANSPOSE, TensorRule, Transform


def embedding_rules(tables: Mapping[str, str]) -> tuple[TensorRule, ...]:
    """The names of tables of vectors, from those of their modules to their paths."""
    return tuple(TensorRule(f"{name}.weight", f"{path}/embedding") for name, path in tables.items())


def dense_rules(
    maps: Mapping[str, str], transform: Transform = TRANSPOSE, *, bias: bool = True
) -> tuple[TensorRule, ...]:
    """The names of linear maps, from those of their modules to their paths: kernels, biases."""
    kernels = (
        TensorRule(f"{name}.weight", f"{path}/kernel", transform) for name, path in maps.items()
    )
    biases = (TensorRule(f"{name}.bias", f"{path}/bias") for name, path in maps.items())
    return (*kernels, *(biases if bias else ()))


def norm_rules(norms: Mapping[str, str], *, bias: bool = True) -> tuple[TensorRule, ...]:
    """The names of normalisations, from those of their modules to their paths: scales, biases."""
    scales = (TensorRule(f"{name}.weight", f"{path}/scale") for name, path in norms.items())
    biases = (TensorRule(f"{name}.bias", f"{path}/bias") for name, path in norms.items())
    return (*scales, *(biases if bias else ()))


def output_rules(tied: bool) -> tuple[tuple[TensorRule, ...], tuple[str, ...]]:
    """The names of a decoder's output embedding, and those to ignore: copies of what is tied."""
    if tied:
        return (), (r"lm_head\.weight",)
    return (TensorRule("lm_head.weight", "unembedding/kernel", TRANSPOSE),), ()
