"""Operations of writing answers, counted from what they compute."""

import dataclasses

import pytest

from fsl_jax.data.examples import text_example
from fsl_jax.models.families.registry import module_of
from fsl_jax.studies.forecasting.written_operations import writing_operations, written_tokens

QUERIES = [text_example("w1 w2 w3 w4", "north"), text_example("w5 w6 w7 w8", "north")]
CONTEXT = " ".join(f"w{number}" for number in range(20)) + " "


@pytest.fixture(scope="module")
def make(writers):
    """Makes the formulation of a tiny model that reads 64 tokens."""

    def formulation(family, **changes):
        base = writers[family].pretrained
        config = dataclasses.replace(base.config, max_length=64)
        long = dataclasses.replace(base, config=config, module=module_of(config))
        return dataclasses.replace(writers[family], pretrained=long, **changes)

    return formulation


def test_only_what_is_written_counts(make, tiny_formulations):
    assert written_tokens(tiny_formulations["llama-template"], QUERIES, 3) == 0
    assert written_tokens(make("llama"), QUERIES, 3) == 3 * 2 * 8


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_operations_grow_with_the_tokens_of_answers(make, family):
    one, two, three = (
        writing_operations(make(family, max_answer=count), QUERIES) for count in (1, 2, 3)
    )
    assert 0 < two - one == three - two
    (single,) = (writing_operations(make(family, max_answer=1), QUERIES[:1]),)
    assert one == 2 * single


def test_demonstrations_are_read_once(make):
    writer = make("llama")
    none, both = (writing_operations(writer, QUERIES, text) for text in ("", CONTEXT))
    single = writing_operations(writer, QUERIES[:1], CONTEXT) - none / 2
    read_twice = 2 * single
    assert none < both < none + 0.75 * read_twice


def test_an_encoder_reads_demonstrations_with_each_query(make):
    writer = make("t5")
    one, two = (writing_operations(writer, QUERIES[:count], CONTEXT) for count in (1, 2))
    assert two == 2 * one
