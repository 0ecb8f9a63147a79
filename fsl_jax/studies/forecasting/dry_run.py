"""The dry run of a study: its programs, with their memory and approximate time."""

from etils import epath

from fsl_jax.studies.forecasting.estimate import program_operations
from fsl_jax.studies.forecasting.speed import assumed_speed
from fsl_jax.studies.planning.plan import plan_programs
from fsl_jax.studies.planning.programs import PlannedProgram
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.studies.reporting.table import markdown_table
from fsl_jax.studies.running.compiling import compile_all
from fsl_jax.studies.running.opening import load_study_data, open_study
from fsl_jax.studies.running.options import RunOptions


def dry_run(config: StudyConfig, output: epath.PathLike, options: RunOptions) -> str:
    """Plan and compile a study without running or writing anything.

    Args:
      config: the study's config.
      output: the directory that the study would write to.
      options: the options of this invocation; the memory limit is used.

    Returns:
      A table of the programs, with the memory and the approximate time of each.
    """
    programs = plan_programs(config)
    dataset = load_study_data(config)
    with open_study(config, epath.Path(output), dataset, options) as study:
        planned, _ = compile_all(study, programs, options)
        speed = assumed_speed(study.mesh)
        seconds = [program_operations(study, program) / speed for program in planned]
    header = ["program", "runs", "at once", "steps", "tokens", "memory (GiB)", "minutes"]
    rows = list(map(_cells, planned, seconds))
    total = sum(seconds) / 60
    return (
        f"{markdown_table(header, rows, texts=1)}\n\n"
        f"About {total:.1f} minutes in all, counted from floating-point operations at "
        f"{speed / 1e9:,.0f} GFLOP/s; expect a half to twice that. Nothing was run or written."
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
        memory,
        f"{seconds / 60:.1f}",
    ]
