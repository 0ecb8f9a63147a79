"""The names of the tensors of whole modules, which the tables of families are made of."""

from collections.abc import Mapping

from fsl_jax.models.tensors.tensor_map import TRANSPOSE, Name, Transform


def embedding_names(tables: Mapping[str, str]) -> tuple[Name, ...]:
    """The names of tables of vectors, from those of their modules to their paths."""
    return tuple(Name(f"{name}.weight", f"{path}/embedding") for name, path in tables.items())


def dense_names(
    maps: Mapping[str, str], transform: Transform = TRANSPOSE, *, bias: bool = True
) -> tuple[Name, ...]:
    """The names of linear maps, from those of their modules to their paths: kernels, biases."""
    kernels = (Name(f"{name}.weight", f"{path}/kernel", transform) for name, path in maps.items())
    biases = (Name(f"{name}.bias", f"{path}/bias") for name, path in maps.items())
    return (*kernels, *(biases if bias else ()))


def norm_names(norms: Mapping[str, str], *, bias: bool = True) -> tuple[Name, ...]:
    """The names of normalisations, from those of their modules to their paths: scales, biases."""
    scales = (Name(f"{name}.weight", f"{path}/scale") for name, path in norms.items())
    biases = (Name(f"{name}.bias", f"{path}/bias") for name, path in norms.items())
    return (*scales, *(biases if bias else ()))


def output_names(tied: bool) -> tuple[tuple[Name, ...], tuple[str, ...]]:
    """The names of a decoder's output embedding, and those to ignore: copies of what is tied."""
    if tied:
        return (), (r"lm_head\.weight",)
    return (Name("lm_head.weight", "unembedding/kernel", TRANSPOSE),), ()
