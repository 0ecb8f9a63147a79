"""Regular expressions from users and files, which must not hang."""

import time

import pytest

from fsl_jax.adapt.methods.lora import LoRA
from fsl_jax.adapt.parts.patterns import MAX_LENGTH, find, pattern_problem, require_pattern
from fsl_jax.errors import InputError

NAME = "model.layers.0.self_attn.q_proj"


@pytest.mark.parametrize(
    ("pattern", "method", "matches"),
    [
        ("q_proj", "search", True),
        ("q_proj", "match", False),
        (r".*\.(q|v)_proj", "fullmatch", True),
        (r".*\.(q|v)", "fullmatch", False),
        # Such groups take exponential time in some libraries.
        ("([a-z]+)*[0-9]$", "search", False),
    ],
)
def test_patterns_match_as_in_python(pattern, method, matches):
    assert (find(pattern, NAME, method) is not None) == matches


@pytest.mark.parametrize("method", ["search", "fullmatch"])
def test_a_catastrophic_pattern_is_stopped_and_named(method):
    pattern = f"(.|..|l)*[!?{method}]{{2}}!*[!?]"
    for seconds in (2.0, 0.1):
        started = time.thread_time()
        with pytest.raises(InputError, match=r"'\(\.\|\.\.\|l\)\*.* takes more than") as error:
            find(pattern, NAME, method)
        assert time.thread_time() - started < seconds
        assert NAME in str(error.value)


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(", "missing ), unterminated subpattern at position 0"),
        ("a" * (MAX_LENGTH + 1), "it has 10,001 characters, and at most 10,000 are read"),
        ("(" * 5000 + ")" * 5000, "recursion"),
        ("a{99999999999}", "the repetition number is too large"),
        ("[[a]", "Possible nested set"),
        # Approximate matching in one library, and plain text in another.
        ("q{e<=1}", "several meanings"),
    ],
)
def test_what_is_no_pattern_is_refused_with_the_reason(pattern, reason):
    assert reason in pattern_problem(pattern)
    with pytest.raises(InputError, match="is no regular expression"):
        find(pattern, NAME)
    with pytest.raises(InputError, match=r"lora's targets .* are no regular expression") as error:
        require_pattern("lora's targets", pattern)
    assert len(str(error.value)) < 500


def test_a_pattern_has_no_problem():
    assert not pattern_problem(r"^layers/(attention/(query|value)|mlp/up)$")


def test_targets_of_a_method_are_stopped_too(llama):
    import jax

    method = LoRA(targets="(.|.|..|l)*[!?]#?")
    with pytest.raises(InputError, match="takes more than"):
        method.extend(llama.params, jax.random.key(0))
