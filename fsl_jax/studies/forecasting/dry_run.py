"""What a study would do: its programs, what they need, and about how long they take."""

from etils import epath

from fsl_jax.studies.forecasting.estimate import program_operations
from fsl_jax.studies.forecasting.speed import assumed_speed
from fsl_jax.studies.planning.plan import PlannedProgram, plan_programs
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.studies.reporting.table import markdown_table
from fsl_jax.studies.study import Options, compile_all, load_study_data, open_study


def dry_run(config: StudyConfig, output: epath.PathLike, options: Options) -> str:
    """Plans and compiles a study without running or writing anything.

    Args:
      config: what would be asked.
      output: where it would be written.
      options: the memory limit among them.

    Returns:
      A table of the programs, with the memory that each needs and the time that it may take.
    """
    programs = plan_programs(config)
    dataset = load_study_data(config)
    with open_study(config, epath.Path(output), dataset, options) as study:
        planned, _ = compile_all(study, programs, options)
        speed = assumed_speed(study.mesh)
        seconds = [program_operations(study, each) / speed for each in planned]
    header = ["program", "runs", "at once", "steps", "tokens", "memory (GiB)", "minutes"]
    rows = [_cells(each, time_of) for each, time_of in zip(planned, seconds, strict=True)]
    total = sum(seconds) / 60
    return (
        f"{markdown_table(header, rows, texts=1)}\n\n"
        f"About {total:.1f} minutes in all, counted from floating-point operations at "
        f"{speed / 1e9:,.0f} GFLOP/s; expect a half to twice that. Nothing was run or written."
    )


def _cells(planned: PlannedProgram, seconds: float) -> list[str]:
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
