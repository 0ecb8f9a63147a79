"""Trainings on real texts, as they are: of different lengths."""

from pathlib import Path

from benchmarks.workload import SEED, SHOTS, Workload, make_formulation
from fsl_jax.adapt.methods.method import Method
from fsl_jax.data.embedded import EMBEDDED
from fsl_jax.data.examples import Dataset
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.tasks import few_shot_split, load_dataset
from fsl_jax.training.fit_config import FitConfig, longest_dispatch


def load_texts(name: str, data_dir: str) -> Dataset:
    """Load a data set.

    Args:
      name: an embedded data set, or a directory in `data_dir`.
      data_dir: the directory of the data sets that are not embedded.

    Returns:
      The data set.
    """
    return load_dataset(name if name in EMBEDDED else str(Path(data_dir) / name))


def make_text_workload(
    pretrained: Pretrained,
    dataset: Dataset,
    method: Method,
    *,
    batch_size: int,
    steps: int,
    turn: int,
    learning_rate: float = 5e-4,
    shots: int = SHOTS,
) -> Workload:
    """Draw a few-shot split and define a training on all its texts, for a task with a text each.

    Args:
      pretrained: the base model.
      dataset: the source of the texts.
      method: the method that is trained.
      batch_size: B.
      steps: the number of steps.
      turn: the number of steps that are measured at a time; a divisor of `steps`.
      learning_rate: the peak.
      shots: texts per class.

    Returns:
      The workload.
    """
    formulation = make_formulation(pretrained, dataset)
    examples = few_shot_split(dataset, shots, SEED).train
    tokenized = formulation.tokenize(examples)
    # One validation, after the last step: what is compared is training.
    longest = min(longest_dispatch(), turn)
    fit_config = FitConfig(steps, batch_size, evaluate_every=steps, longest_dispatch=longest)
    return Workload(
        formulation,
        method,
        f"{batch_size} texts of {Path(dataset.name).name}",
        tokenized.tokens,
        formulation.targets(examples, tokenized),
        learning_rate,
        fit_config,
        tokenized.features,
    )
