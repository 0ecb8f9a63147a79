import pytest

from fsl_jax.adapt import LoRA
from fsl_jax.training.generating_predictor import GeneratingPredictor
from fsl_jax.training.predictor import Predictor
from fsl_jax.training.predictors import make_predictor


@pytest.mark.parametrize(
    ("name", "expected"), [("llama-template", Predictor), ("written", GeneratingPredictor)]
)
def test_the_formulation_chooses_the_predictor(tiny_problem, writers, trial, name, expected):
    problem = tiny_problem(writers["llama"] if name == "written" else name, [trial(LoRA(2))])
    assert isinstance(make_predictor(problem.formulation, problem.stack.models), expected)
