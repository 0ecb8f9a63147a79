"""A few examples of each task that a head serves, and tiny models that are asked for it."""

import pytest

WORDS = "w1 w2 w3 w4 w5 w6 w7 w8"


def _example(parts, answer):
    from fsl_jax.data.examples import Example

    return Example({"text": parts} if isinstance(parts, str) else parts, answer)


def _related(before, head, between, tail, relation):
    text = f"{before} @ {head} @ {between} # {tail} #"
    return _example({"text": text, "head": head, "tail": tail}, relation)


def _asked(question, context, *answers):
    pairs = tuple((text, context.index(text)) for text in answers)
    return _example({"question": question, "context": context}, pairs)


def _chosen(question, choices, answer):
    numbered = {f"choice {number}": text for number, text in enumerate(choices, 1)}
    return _example({"question": question} | numbered, answer)


EXAMPLES = {
    "multilabel_head": [
        _example("w1 w2 w3", ("east",)),
        _example("w4 w5", ("east", "west")),
        _example("w6 w7 w8 w9 w10", ()),
        _example("w2", ("north", "west")),
    ],
    "multicolumn_head": [
        _example("w1 w2 w3", ("east", "far")),
        _example("w4 w5", ("west", "far")),
        _example("w6 w7 w8 w9 w10", ("east", "very")),
        _example("w2", ("north", "far")),
    ],
    "regression_head": [
        _example("w1 w2 w3", 1.5),
        _example("w4 w5", -2.0),
        _example("w6 w7 w8 w9 w10", 4.0),
        _example("w2", 0.5),
    ],
    "marker_head": [
        _related("w1", "w2 w3", "w4", "w5", "east"),
        _related("w6 w7", "w8", "w9", "w10 w11", "west"),
        _related("", "w1", "w2", "w3", "east"),
        _related("w9 w8 w7", "w4", "w5 w6", "w7", "north"),
    ],
    "span_head": [
        _asked("w1 w2", f"{WORDS} w9 w10 w11 w12 w13 w14", "w5 w6", "w5"),
        _asked("w3", "w4 w5 w6", "w4"),
        _asked("w7 w8 w9", f"w20 {WORDS} w21 w22"),
        _asked("w2", "w30 w31 w32 w33 w34", "w33 w34"),
    ],
    "choice_head": [
        _chosen("w1 w2 w3", ("w4", "w5 w6"), 1),
        _chosen("w2", ("w7", "w8", "w9 w10 w11"), 0),
        _chosen("w5 w6", ("w1", "w3"), 0),
        _chosen("w8", ("w2 w3", "w4", "w5"), 2),
    ],
}
"""Examples for each head. Those of the last two have several segments."""


@pytest.fixture(scope="session")
def tiny_head(tiny_bases):
    """Makes a head by its name, on the tiny model of a family."""
    from fsl_jax.formulations.heads.choice_head import ChoiceHead
    from fsl_jax.formulations.heads.marker_head import MarkerHead
    from fsl_jax.formulations.heads.multicolumn_head import MulticolumnHead
    from fsl_jax.formulations.heads.multilabel_head import MultilabelHead
    from fsl_jax.formulations.heads.regression_head import RegressionHead
    from fsl_jax.formulations.heads.span_head import SpanHead

    labels = ("east", "north", "west")
    columns = (*(f"place={label}" for label in labels), "degree=far", "degree=very")
    kinds = {
        "multilabel_head": (MultilabelHead, {"labels": labels}),
        "multicolumn_head": (MulticolumnHead, {"labels": columns}),
        "regression_head": (RegressionHead, {"mean": 1.0, "deviation": 2.0}),
        "marker_head": (MarkerHead, {"labels": labels}),
        "span_head": (SpanHead, {"overlap": 3, "longest": 3, "max_length": 10}),
        "choice_head": (ChoiceHead, {}),
    }

    def make(name, family, **changes):
        kind, options = kinds[name]
        return kind(tiny_bases[family], **(options | changes))

    return make
