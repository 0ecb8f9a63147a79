"""The table of methods says what methods take."""

from pathlib import Path

import pytest

from benchmarks.methods import END, START, families
from benchmarks.variants import VARIANTS, lines
from fsl_jax.adapt.methods.registry import TRAINED_METHODS, parse_method

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
    assert set(found) == TRAINED_METHODS.keys() | VARIANTS.keys()


def test_the_page_has_what_the_script_says():
    page = Path(__file__).parents[2] / "docs" / "methods.md"
    _, _, after = page.read_text().partition(START)
    rows = [line.strip("| ").split(" | ") for line in after.partition(END)[0].splitlines()]
    found = {row[0].strip("`"): row[4] for row in rows if row[0].startswith("`")}
    assert list(found) == lines()
    for text in ("bitfit", "top_layers", "p_tuning_v2"):
        assert found[text] == families(parse_method(text))
