"""All programs are prepared before the first one is compiled."""

import pytest

from fsl_jax.errors import InputError
from fsl_jax.studies.planning.plan import plan_programs
from fsl_jax.studies.running import compiling
from fsl_jax.studies.running.options import RunOptions


def test_a_method_that_does_not_fit_is_an_error_before_anything_is_compiled(
    running_study, monkeypatch
):
    def compile_nothing(*arguments):
        raise AssertionError("a program was compiled")

    monkeypatch.setattr(compiling, "compile_program", compile_nothing)
    with running_study("bitfit,top_layers(99)", "bert", model_length=32) as study:
        programs = plan_programs(study.config)
        with pytest.raises(InputError, match=r"top_layers\(k=99\) on a model of"):
            compiling.compile_all(study, programs, RunOptions())
