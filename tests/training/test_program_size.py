"""As many runs as fit in memory are trained at once, in groups that are few and even."""

import itertools

import pytest

from fsl_jax.adapt import BitFit
from fsl_jax.compilation import DoesNotFitError
from fsl_jax.errors import InputError
from fsl_jax.training.program import Program
from fsl_jax.training.program_size import compile_largest, even_size


def counted(size):
    """A program with a base of 100 bytes, and 10 for each run."""
    return Program(lambda state, *_: state, size, 100 + 10 * size, 0.0, None, BitFit())


def compiled_sizes(runs, limit, multiple=1):
    sizes = []

    def compile_size(size):
        sizes.append(size)
        return counted(size)

    program = compile_largest(compile_size, runs, limit, multiple)
    assert program.size == sizes[-1]
    return sizes


@pytest.mark.parametrize(
    ("runs", "limit", "multiple", "expected"),
    [
        (16, 260, 1, 16),  # all fit
        (16, 259, 1, 8),
        (16, 170, 1, 6),  # seven fit; three groups of six are as few as of seven
        (17, 269, 1, 9),  # 9 and 8 rather than 16 and 1
        (16, 110, 1, 1),
        (5, 1000, 2, 6),  # filled up to a multiple
        (16, 199, 4, 8),
        (16, 140, 4, 4),
    ],
)
def test_as_many_runs_as_fit_are_trained_at_once_in_even_groups(runs, limit, multiple, expected):
    sizes = compiled_sizes(runs, limit, multiple)
    assert sizes[-1] == expected
    assert sizes == sorted(set(sizes), reverse=True)
    assert all(size % multiple == 0 for size in sizes)


@pytest.mark.parametrize(
    ("message", "tried"),
    [
        ("Ran out of memory: temporaries (300.00G) exceeds available HBM (150.00G).", [16, 8, 4]),
        ("Used 23.5G of 15.75G hbm.", [16, 8, 4]),
        ("no figure at all", [16, 8, 4]),
    ],
)
def test_a_compiler_that_gives_up_says_that_a_group_does_not_fit(message, tried):
    sizes = []

    def compile_size(size):
        sizes.append(size)
        if size > 7:
            raise DoesNotFitError(f"RESOURCE_EXHAUSTED: {message}")
        return counted(size)

    assert compile_largest(compile_size, 16, 2**60).size == tried[-1]
    assert sizes == tried


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Used 23.5G of 15.75G hbm.", "needs 23.50 GiB or more, and a device has 15.75 GiB"),
        ("no figure", "does not fit, and a device has 2.00 GiB"),
    ],
)
def test_one_run_that_a_compiler_gives_up_on_is_an_error_with_the_memory(message, expected):
    def compile_size(size):
        raise DoesNotFitError(f"RESOURCE_EXHAUSTED: {message}")

    with pytest.raises(InputError) as refused:
        compile_largest(compile_size, 3, 2 << 30)
    assert f"a program of 1 run(s) {expected}: choose a smaller batch" in str(refused.value)
    assert "devices with more memory" in str(refused.value)


@pytest.mark.parametrize("multiple", [1, 4])
def test_what_cannot_fit_is_an_error_that_says_what_to_change(multiple):
    with pytest.raises(InputError, match=rf"a program of {multiple} run\(s\) needs 0.00 GiB") as e:
        compiled_sizes(16, 99, multiple)
    assert all(way in str(e.value) for way in ("batch", "--max_length", "--memory_limit_gib"))


def test_groups_are_as_few_and_as_even_as_they_can_be():
    for runs, largest, multiple in itertools.product(range(1, 20), (1, 3, 8, 40), (1, 2, 4)):
        size = even_size(runs, largest, multiple)
        most = max(largest - largest % multiple, multiple)
        groups = -(-runs // most)
        assert size % multiple == 0
        assert size <= most
        assert -(-runs // size) == groups
        assert size - multiple < runs / groups
