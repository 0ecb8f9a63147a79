import dataclasses

import pytest

from fsl_jax.data.examples import text_example
from fsl_jax.errors import InputError
from fsl_jax.formulations.writing.answer_checks import require_no_stop, require_short

TEXTS = [" far east", " north", " very far"]


def test_answers_that_do_not_fit_are_listed():
    with pytest.raises(InputError, match="max_answer of 5") as raised:
        require_short(TEXTS, [[1, 2, 3], [1, 2], [1, 2, 3, 4, 5]], 2)
    assert raised.value.problems == ("' far east' has 3", "' very far' has 5")
    require_short(TEXTS, [[1, 2, 3]] * 3, 3)
    require_short([], [], 1)


def test_answers_with_a_string_that_ends_them_are_listed():
    with pytest.raises(InputError, match="Give stop without it") as raised:
        require_no_stop([*TEXTS, "a\nb."], ["\n", "."])
    assert raised.value.problems == (r"'a\nb.' has '\n'", "'a\\nb.' has '.'")
    require_no_stop(TEXTS, ["\n"])
    require_no_stop(["a\nb"], [])


def test_answers_to_train_on_are_checked(writers):
    short = dataclasses.replace(writers["llama"], max_answer=2)
    with pytest.raises(InputError, match=r"max_answer of 3.*\s.*' far east' has 3"):
        short.tokenize([text_example("w1", "far east")], answered=True)
    with pytest.raises(InputError, match=r"Give stop without it:\s.*' east\\nnorth' has '\\n'"):
        writers["llama"].tokenize([text_example("w1", "east\nnorth")], answered=True)
