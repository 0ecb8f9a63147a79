"""The dry run of a study: its programs, with their memory and approximate time."""

from collections.abc import Sequence

from etils import epath

from fsl_jax.processes import from_first, is_first
from fsl_jax.studies.forecasting.duration import duration
from fsl_jax.studies.forecasting.estimate import program_operations, program_written_tokens
from fsl_jax.studies.forecasting.speed import assumed_speed
from fsl_jax.studies.planning.environment import describe as describe_environment
from fsl_jax.studies.planning.plan import plan_programs
from fsl_jax.studies.planning.plan_file import describe_data, describe_plan, read_plan
from fsl_jax.studies.planning.programs import PlannedProgram
from fsl_jax.studies.planning.same_study import as_begun, require_same_study
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.studies.reporting.table import markdown_table
from fsl_jax.studies.running.compiling import compile_all
from fsl_jax.studies.running.opening import load_study_data, open_study
from fsl_jax.studies.running.options import RunOptions


def dry_run(config: StudyConfig, output: epath.PathLike, options: RunOptions) -> str:
    """Plan and compile a study without running or writing anything, after the study's own checks.

    Args:
      config: the study's config.
      output: the directory that the study would write to.
      options: the options of this invocation; the memory limit is used.

    Returns:
      A table of the programs, with the memory and the approximate time of each.

    Raises:
      InputError: an input cannot be used, or the directory has another study.
    """
    programs = plan_programs(config)
    dataset = load_study_data(config, options)
    directory = epath.Path(output)
    if (existing := from_first(read_plan(directory) if is_first() else None)) is not None:
        environment = from_first(describe_environment())
        plan = describe_plan(config, environment, describe_data(dataset))
        require_same_study(existing, plan, directory)
        config = as_begun(config, existing)
    with open_study(config, directory, dataset, options) as study:
        planned, _ = compile_all(study, programs, options)
        speed = assumed_speed(study.mesh)
        seconds = [program_operations(study, program) / speed for program in planned]
        written = [program_written_tokens(study, program) for program in planned]
    header = ["program", "runs", "at once", "steps", "tokens", "padding", "memory (GiB)", "time"]
    rows = list(map(_cells, planned, seconds))
    return (
        f"{markdown_table(header, rows, texts=1)}\n\n{_writing(planned, written)}"
        f"About {duration(sum(seconds))} in all, counted from floating-point operations at "
        f"{speed / 1e9:,.0f} GFLOP/s; expect a half to twice that. Nothing was run or written."
    )


def _writing(planned: Sequence[PlannedProgram], written: Sequence[int]) -> str:
    """Return a sentence about the tokens that models write; empty if they write none."""
    counts = [
        f"{program.name} {count:,}"
        for program, count in zip(planned, written, strict=True)
        if count
    ]
    if not counts:
        return ""
    return (
        f"Tokens of written answers to test examples, at most: {', '.join(counts)}. Answers that "
        "end sooner take less time.\n\n"
    )


def _cells(planned: PlannedProgram, seconds: float) -> list[str]:
    """Return the cells of a program's row."""
    memory = f"{planned.memory / 2**30:.2f}" if planned.memory else "-"
    return [
        planned.name,
        str(len(planned.runs)),
        str(planned.size),
        str(planned.steps or "-"),
        str(planned.tokens or "-"),
        f"{planned.padding:.1%}" if planned.tokens else "-",
        memory,
        duration(seconds),
    ]
