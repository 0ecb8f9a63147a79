"""Carry out a program that trains nothing: prompt the base model with the test set."""

import dataclasses
import time

import jax

from fsl_jax.adapt.methods.prompted import Prompted
from fsl_jax.adapt.summary import count_parameters
from fsl_jax.adapt.tree import Params, flatten
from fsl_jax.formulations.formulation import PromptFormulation
from fsl_jax.incontext.answer_writer import AnswerWriter
from fsl_jax.incontext.answered import Answered
from fsl_jax.incontext.asking import make_asker
from fsl_jax.incontext.demonstrations import as_many_as_fit
from fsl_jax.incontext.demonstrations import context as demonstrations_text
from fsl_jax.incontext.scoring import QueryScorer
from fsl_jax.studies.planning.formulations import make_formulation, prompt_kind
from fsl_jax.studies.planning.programs import PlannedProgram, PlannedRun
from fsl_jax.studies.records.records import RunRecord
from fsl_jax.studies.running.run_records import (
    answer_notes,
    make_record,
    rounded,
    truncation_note,
)
from fsl_jax.studies.running.running_study import RunningStudy
from fsl_jax.tasks.splitting import few_shot_split


@dataclasses.dataclass(frozen=True)
class PromptContext:
    """The text before every query of a run.

    Attributes:
      text: the demonstrations; empty if there are none.
      note: the number of demonstrations that fitted, for the record; empty without demonstrations.
    """

    text: str = ""
    note: str = ""


def run_prompts(
    study: RunningStudy, planned: PlannedProgram
) -> tuple[list[RunRecord], dict[str, float]]:
    """Prompt a model with the test set, once for each split.

    Without demonstrations the split makes no difference, so the test set is asked only once.

    Args:
      study: the study.
      planned: the program in the plan.

    Returns:
      A record for each run, in order, and the seconds of evaluation.
    """
    start = time.monotonic()
    ask = make_asker(make_prompt_formulation(study, planned), study.mesh)
    params = jax.tree.map(jax.numpy.asarray, study.load(planned.model).params)
    answers: dict[int | None, tuple[Answered, str]] = {}
    records = []
    for run in planned.runs:
        split_seed = run.seed if has_demonstrations(run) else None
        if split_seed not in answers:
            answers[split_seed] = _ask_test_set(study, planned, ask, params, run)
        records.append(_prompt_record(study, planned, ask.formulation, run, *answers[split_seed]))
    return records, {"train": 0.0, "evaluate": time.monotonic() - start}


def make_prompt_formulation(study: RunningStudy, planned: PlannedProgram) -> PromptFormulation:
    """Make the formulation of a prompted program, whose limit counts demonstrations too.

    Args:
      study: the study.
      planned: the program of a method that trains nothing.

    Returns:
      A template with label words, or one after which the model writes.

    Raises:
      InputError: the model or the task cannot be asked by a prompt.
    """
    kind = prompt_kind(planned.formulation, study.dataset)
    config = dataclasses.replace(study.config, max_length=study.config.max_prompt_tokens)
    made = make_formulation(kind, study.load(planned.model), study.dataset, config)
    assert isinstance(made, PromptFormulation)
    return made


def prompt_context(
    study: RunningStudy, formulation: PromptFormulation, run: PlannedRun
) -> PromptContext:
    """Return the text before every query of a run.

    Args:
      study: the study.
      formulation: the formulation of the prompts.
      run: a run of a method that trains nothing.

    Returns:
      As many demonstrations as fit, in the order of the split; empty if the method has none.
    """
    if not has_demonstrations(run):
        return PromptContext()
    split = few_shot_split(study.dataset, study.config.shots, run.seed)
    shown = as_many_as_fit(formulation, split.train, study.test)
    note = (
        f"{len(shown)} of {len(split.train)} demonstrations fit into a prompt of "
        f"{formulation.prompt_limit} tokens"
    )
    return PromptContext(demonstrations_text(formulation, shown), note)


def has_demonstrations(run: PlannedRun) -> bool:
    """Return True if a run's prompts have demonstrations, so that they differ between splits."""
    return isinstance(run.method, Prompted) and run.method.has_demonstrations


def _ask_test_set(
    study: RunningStudy,
    planned: PlannedProgram,
    ask: QueryScorer | AnswerWriter,
    params: Params,
    run: PlannedRun,
) -> tuple[Answered, str]:
    """Ask about the test set, and return the answers with the note about demonstrations."""
    context = prompt_context(study, ask.formulation, run)
    title = f"{planned.title}, seed {run.seed}" if context.text else planned.title
    task = study.progress.task(title, len(study.test))

    def on_batch(done: int) -> None:
        task.update(done)
        study.stop_if_asked(f"stopped while asking {title}; it will be asked again")

    return ask(params, study.test, context.text, on_batch), context.note


def _prompt_record(
    study: RunningStudy,
    planned: PlannedProgram,
    formulation: PromptFormulation,
    run: PlannedRun,
    answered: Answered,
    note: str,
) -> RunRecord:
    shapes = {path: leaf.shape for path, leaf in flatten(study.load(planned.model).params).items()}
    truncated = truncation_note(answered.truncated, "test", formulation.prompt_limit)
    about_answers = answer_notes(
        formulation, len(answered.answers), answered.unreadable, answered.cut_answers
    )
    notes = (note, truncated if answered.truncated else "", *about_answers)
    return make_record(
        study,
        planned,
        run,
        formulation=formulation.name,
        settings={"formulation": formulation.describe()},
        status="finished",
        validation=None,
        best_step=None,
        selected=True,
        test=rounded(study.score(answered.answers)),
        test_examples=len(study.test),
        adapter=None,
        trainable_parameters=0,
        total_parameters=count_parameters(shapes),
        notes=tuple(filter(None, notes)),
        curve=(),
    )
