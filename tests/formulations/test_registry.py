import json

import pytest

from fsl_jax.errors import InputError
from fsl_jax.formulations import HeadFormulation, Template, TemplateFormulation, Verbalizer
from fsl_jax.formulations.registry import restore_formulation
from fsl_jax.json_reader import parse_json
from tests.plugins.fuzzing import CASES, read_damaged

LABELS = ("east", "west")


@pytest.fixture(scope="module")
def formulations(tiny_bases):
    words = Verbalizer.from_mapping(LABELS, {"east": ["far east", "east"]})
    base = tiny_bases["llama"]
    return [
        HeadFormulation(base, LABELS, "mean", max_length=12),
        TemplateFormulation(base, LABELS, Template("{text} . Topic :"), words, 16),
    ]


def test_a_description_gives_the_formulation_back(formulations):
    for formulation in formulations:
        described = formulation.describe()
        restored = restore_formulation(described, formulation.pretrained)
        assert type(restored) is type(formulation)
        assert restored.describe() == described


def test_what_is_wrong_with_a_description_is_listed(tiny_bases):
    with pytest.raises(InputError) as error:
        restore_formulation({"name": "head", "labels": "east", "max_length": 3}, tiny_bases["bert"])
    assert error.value.problems == (
        "labels: expected a list, found 'east'",
        "pooling: missing",
    )


def test_a_length_of_no_tokens_is_refused(formulations):
    described = formulations[0].describe() | {"max_length": 0}
    with pytest.raises(InputError, match="max_length 0; expected at least 1"):
        restore_formulation(described, formulations[0].pretrained)


@pytest.mark.parametrize("cases", [CASES // 2, pytest.param(5000, marks=pytest.mark.soak)])
def test_damaged_descriptions_are_refused_or_give_a_formulation(formulations, cases):
    base = formulations[0].pretrained
    seeds = [json.dumps(each.describe()).encode() for each in formulations]
    read_damaged(lambda data: restore_formulation(parse_json(data, "task"), base), seeds, cases)
