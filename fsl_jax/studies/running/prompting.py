"""Carry out a program that trains nothing: prompt the base model with the test set."""

import dataclasses
import time

import jax

from fsl_jax.adapt.methods.prompted import Prompted
from fsl_jax.adapt.summary import count_parameters
from fsl_jax.adapt.tree import Params, flatten
from fsl_jax.formulations.labels import most_probable
from fsl_jax.formulations.template_formulation import TemplateFormulation
from fsl_jax.incontext.demonstrations import as_many_as_fit
from fsl_jax.incontext.demonstrations import context as demonstrations_text
from fsl_jax.incontext.scoring import QueryScorer, QueryScores
from fsl_jax.studies.planning.formulations import make_formulation
from fsl_jax.studies.planning.programs import PlannedProgram, PlannedRun
from fsl_jax.studies.records.records import RunRecord
from fsl_jax.studies.running.run_records import make_record, rounded, truncation_note
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

    Without demonstrations the split makes no difference, so the test set is scored only once.

    Args:
      study: the study.
      planned: the program in the plan.

    Returns:
      A record for each run, in order, and the seconds of evaluation.
    """
    start = time.monotonic()
    scorer = QueryScorer(make_prompt_formulation(study, planned), mesh=study.mesh)
    params = jax.tree.map(jax.numpy.asarray, study.load(planned.model).params)
    answers: dict[int | None, tuple[QueryScores, str]] = {}
    records = []
    for run in planned.runs:
        split_seed = run.seed if _has_demonstrations(run) else None
        if split_seed not in answers:
            answers[split_seed] = _score_test_set(study, planned, scorer, params, run)
        records.append(
            _prompt_record(study, planned, scorer.formulation, run, *answers[split_seed])
        )
    return records, {"train": 0.0, "evaluate": time.monotonic() - start}


def make_prompt_formulation(study: RunningStudy, planned: PlannedProgram) -> TemplateFormulation:
    """Make the template of a prompted program, whose limit counts demonstrations too."""
    pretrained = study.load(planned.model)
    made = make_formulation(planned.formulation, pretrained, study.dataset, study.config)
    assert isinstance(made, TemplateFormulation)
    return dataclasses.replace(made, max_length=study.config.max_prompt_tokens)


def prompt_context(
    study: RunningStudy, formulation: TemplateFormulation, run: PlannedRun
) -> PromptContext:
    """Return the text before every query of a run.

    Args:
      study: the study.
      formulation: the template.
      run: a run of a method that trains nothing.

    Returns:
      As many demonstrations as fit, in the order of the split; empty if the method has none.
    """
    if not _has_demonstrations(run):
        return PromptContext()
    split = few_shot_split(study.dataset, study.config.shots, run.seed)
    shown = as_many_as_fit(formulation, split.train, study.test)
    note = (
        f"{len(shown)} of {len(split.train)} demonstrations fit into a prompt of "
        f"{formulation.limit} tokens"
    )
    return PromptContext(demonstrations_text(formulation, shown), note)


def _has_demonstrations(run: PlannedRun) -> bool:
    return isinstance(run.method, Prompted) and run.method.has_demonstrations


def _score_test_set(
    study: RunningStudy,
    planned: PlannedProgram,
    scorer: QueryScorer,
    params: Params,
    run: PlannedRun,
) -> tuple[QueryScores, str]:
    """Score the test set, and return the scores with the note about demonstrations."""
    context = prompt_context(study, scorer.formulation, run)
    title = f"{planned.title}, seed {run.seed}" if context.text else planned.title
    task = study.progress.task(title, len(study.test))

    def on_batch(done: int) -> None:
        task.update(done)
        study.stop_if_asked(f"stopped while asking {title}; it will be asked again")

    return scorer(params, study.test, context.text, on_batch), context.note


def _prompt_record(
    study: RunningStudy,
    planned: PlannedProgram,
    formulation: TemplateFormulation,
    run: PlannedRun,
    scored: QueryScores,
    note: str,
) -> RunRecord:
    shapes = {path: leaf.shape for path, leaf in flatten(study.load(planned.model).params).items()}
    answers = most_probable(scored.logits, formulation.labels)
    truncated = truncation_note(scored.truncated, "test", formulation.limit)
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
        test=rounded(study.score(answers)),
        test_examples=len(study.test),
        adapter=None,
        trainable_parameters=0,
        total_parameters=count_parameters(shapes),
        notes=tuple(filter(None, (note, truncated if scored.truncated else ""))),
        curve=(),
    )
