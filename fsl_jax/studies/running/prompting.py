"""Carrying out the methods that ask a model as it is: `zero_shot` and `icl`."""

import dataclasses
import time

import jax

from fsl_jax.adapt.summary import count_parameters
from fsl_jax.adapt.tree import flatten
from fsl_jax.data.splits import few_shot_split
from fsl_jax.incontext.demonstrations import as_many_as_fit
from fsl_jax.incontext.demonstrations import context as demonstrations_text
from fsl_jax.incontext.scoring import Scored, Scorer
from fsl_jax.studies.planning.formulations import describe_formulation, make_formulation
from fsl_jax.studies.planning.plan import PlannedProgram, PlannedRun
from fsl_jax.studies.records.records import RunRecord
from fsl_jax.studies.running.running_study import RunningStudy, make_record
from fsl_jax.tasks.encoding import label_indices
from fsl_jax.tasks.template_formulation import TemplateFormulation


def run_prompts(
    study: RunningStudy, planned: PlannedProgram
) -> tuple[list[RunRecord], dict[str, float]]:
    """Asks a model about the test set, for each split.

    Without demonstrations a split makes no difference, so the model is asked once.

    Args:
      study: the study.
      planned: the program as it stands in the plan.

    Returns:
      A record for each run, in order, and the seconds of evaluation.
    """
    start = time.monotonic()
    pretrained = study.load(planned.model)
    formulation = make_prompted(study, planned)
    scorer = Scorer(formulation, mesh=study.mesh)
    labels = label_indices(study.test, formulation.labels)
    params = jax.tree.map(jax.numpy.asarray, pretrained.params)
    asked: dict[tuple[int, ...], tuple[Scored, str]] = {}
    records = []
    for run in planned.runs:
        key = (run.seed,) if run.method == "icl" else ()
        if key not in asked:
            asked[key] = _ask(study, planned, scorer, params, run)
        scored, note = asked[key]
        accuracy = float((scored.logits.argmax(axis=-1) == labels).mean())
        records.append(_record(study, planned, formulation, run, scored, note, accuracy))
    return records, {"train": 0.0, "evaluate": time.monotonic() - start}


def make_prompted(study: RunningStudy, planned: PlannedProgram) -> TemplateFormulation:
    """The formulation of a prompted program, whose prompts hold demonstrations too."""
    pretrained = study.load(planned.model)
    made = make_formulation("template", pretrained, study.dataset.labels, study.config)
    assert isinstance(made, TemplateFormulation)
    return dataclasses.replace(made, max_length=study.config.max_prompt_tokens)


def prompt_text(
    study: RunningStudy, formulation: TemplateFormulation, run: PlannedRun
) -> tuple[str, str]:
    """What stands before each query in a run, and a note about it for the record."""
    if run.method != "icl":
        return "", ""
    split = few_shot_split(study.dataset, study.config.shots, run.seed)
    shown = as_many_as_fit(formulation, split.train, study.test)
    note = (
        f"{len(shown)} of {len(split.train)} demonstrations fit into a prompt of "
        f"{formulation.limit} tokens"
    )
    return demonstrations_text(formulation, shown), note


def _ask(
    study: RunningStudy, planned: PlannedProgram, scorer: Scorer, params: dict, run: PlannedRun
) -> tuple[Scored, str]:
    text, note = prompt_text(study, scorer.formulation, run)
    title = f"{planned.name.split('-', 1)[1]}, seed {run.seed}" if text else planned.name[3:]
    task = study.progress.task(title, len(study.test))

    def on_batch(done: int) -> None:
        task.update(done)
        study.stop_if_asked(f"stopped while asking {title}; it will be asked again")

    return scorer(params, study.test, text, on_batch), note


def _record(
    study: RunningStudy,
    planned: PlannedProgram,
    formulation: TemplateFormulation,
    run: PlannedRun,
    scored: Scored,
    note: str,
    accuracy: float,
) -> RunRecord:
    shapes = {path: leaf.shape for path, leaf in flatten(study.load(planned.model).params).items()}
    cut = f"{scored.truncated} test texts were longer than {formulation.limit} tokens and were cut"
    return make_record(
        study,
        planned,
        run,
        formulation=formulation.name,
        settings={"formulation": describe_formulation(formulation)},
        status="finished",
        validation=None,
        best_step=None,
        selected=True,
        test=round(accuracy, 6),
        test_examples=len(study.test),
        adapter=None,
        trainable_parameters=0,
        total_parameters=count_parameters(shapes),
        notes=tuple(filter(None, (note, cut if scored.truncated else ""))),
        curve=(),
    )
