import dataclasses

import pytest

from fsl_jax.errors import InputError
from fsl_jax.formulations.description import description_class, field_values
from fsl_jax.formulations.heads.head import HeadFormulation
from fsl_jax.formulations.heads.regression_head import RegressionHead
from fsl_jax.formulations.registry import FORMULATIONS
from fsl_jax.validation import checked_fields

TEXTS = tuple[str, ...]
EXPECTED = {
    "head": {"labels": TEXTS, "pooling": str},
    "classifier": {"labels": TEXTS},
    "multilabel_head": {"labels": TEXTS, "pooling": str},
    "multicolumn_head": {"labels": TEXTS, "pooling": str},
    "regression_head": {"mean": float, "deviation": float, "pooling": str},
    "word_head": {"tags": TEXTS},
    "marker_head": {"labels": TEXTS},
    "span_head": {"overlap": int, "longest": int, "may_be_silent": bool},
    "choice_head": {"pooling": str},
    "template": {"labels": TEXTS, "template": str, "verbalizer": dict[str, list[str]]},
    "written": {"task": str, "template": str, "labels": TEXTS, "max_answer": int, "stop": TEXTS},
}
"""The fields by which adapters of all versions describe formulations, beside `max_length`."""


def test_adapters_that_were_saved_before_describe_their_formulations():
    found = {
        name: {field.name: field.type for field in dataclasses.fields(description_class(kind))}
        for name, kind in FORMULATIONS.items()
    }
    assert found == {name: fields | {"max_length": int} for name, fields in EXPECTED.items()}


@pytest.mark.parametrize(
    ("kind", "values", "problems"),
    [
        (
            HeadFormulation,
            {"labels": ["east", 3], "max_length": True, "pooling": None},
            (
                "max_length: expected a whole number, found True",
                "labels: expected a text, found 3",
                "pooling: expected a text, found None",
            ),
        ),
        (
            RegressionHead,
            {"mean": float("nan"), "deviation": "1", "max_length": None},
            (
                "max_length: expected a whole number, found None",
                "mean: expected a finite number (null where there is none), found nan",
                "deviation: expected a number, found '1'",
                "pooling: missing",
            ),
        ),
    ],
)
def test_all_faults_of_a_description_are_told(kind, values, problems):
    with pytest.raises(InputError) as raised:
        checked_fields(description_class(kind), values)
    assert raised.value.problems == problems


def test_values_are_those_of_json(tiny_bases):
    head = HeadFormulation(tiny_bases["bert"], ("east", "west"), reserved_positions=2)
    assert field_values(head) == {"max_length": None, "labels": ["east", "west"], "pooling": "mean"}
