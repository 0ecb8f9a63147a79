"""The example in the document on scoring, with a tiny model."""

import pathlib
import re

import numpy as np

import fsl_jax
from fsl_jax.incontext.scorer import score

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "in_context.md"


def test_the_example_gives_a_score_for_each_request(tiny_bases, monkeypatch):
    base = tiny_bases["gpt2"]
    monkeypatch.setattr(fsl_jax, "load", lambda name: base, raising=False)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    # Words that the tiny model knows.
    words = {"The capital of Italy is": "w1 w2", " Paris": " w3", " Rome": " w4", " Madrid": " w5"}
    for text, word in words.items():
        assert f'"{text}"' in code
        code = code.replace(f'"{text}"', f'"{word}"')
    names = {}
    exec(code, names)
    expected = score(base, [fsl_jax.incontext.Request("w1 w2", f" w{n}") for n in (3, 4, 5)])
    np.testing.assert_allclose(names["totals"], [each.total for each in expected], atol=0.06)
    assert len(set(names["totals"])) > 1
    assert names["greedy"] == [each.is_greedy for each in expected]
