"""A study of tiny models that is open, but of which nothing was run."""

import contextlib
import dataclasses

import pytest
from etils import epath

from fsl_jax.models.families.registry import module_of
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.studies.running.opening import open_study
from fsl_jax.studies.running.options import RunOptions


@pytest.fixture(scope="session")
def running_study(tiny_bases, tiny_dataset):
    """Opens a study of a model of a family, which reads up to `model_length` tokens.

    It is about the tiny data set of classes, unless another is given.
    """

    @contextlib.contextmanager
    def opened(methods, family="llama", model_length=128, dataset=tiny_dataset, **changes):
        model = tiny_bases[family]
        config = dataclasses.replace(model.config, max_length=model_length)
        model = dataclasses.replace(model, config=config, module=module_of(config))
        asked = {"shots": 1, "seeds": (1, 2), "steps": "2", "batch_size": "2"} | changes
        study_config = StudyConfig(("tiny",), "tiny", methods, **asked)
        output = epath.Path("nowhere")
        with open_study(study_config, output, dataset, RunOptions()) as study:
            yield dataclasses.replace(study, load=lambda name: model)

    return opened
