"""The table of methods says what methods take."""

import pytest

from benchmarks.methods import VARIANTS, families, lines
from fsl_jax.adapt.registry import METHODS, parse_method

EVERY = "BERT, GPT-2, Llama, Qwen2, T5"


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("lora", EVERY),
        ("top_layers(k=1)", EVERY),
        ("bitfit", "BERT, GPT-2, Qwen2"),
        ("lora(targets='nowhere')", ""),
    ],
)
def test_a_method_is_of_the_families_that_take_it(method, expected):
    assert families(parse_method(method)) == expected


def test_every_method_and_every_variant_has_one_line():
    found = lines()
    assert len(found) == len(set(found))
    assert set(found) == METHODS.keys() | VARIANTS.keys()
