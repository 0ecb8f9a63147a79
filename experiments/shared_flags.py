"""Flags that several scripts have."""

import dataclasses

from fsl_jax.ranges import MAX_INT32, MAX_INT64, real, whole
from fsl_jax.studies.planning.flag_field import flag_field, same_flag
from fsl_jax.studies.planning.study_config import StudyConfig

MODEL_NAMES = "embedded name, Hugging Face id, directory or GGUF file"
OUTPUT_DIRECTORY = "Directory to write to; may be gs://…"


def bytes_of(gib: float) -> int:
    """Return a limit in bytes: at least 1 unless there is none, since 0 stands for the default."""
    return 0 if not gib else int(max(1, min(gib * 2**30, MAX_INT64)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelFlags:
    """A base model and its dtype and implementation."""

    model: str = flag_field(f"The base model: {MODEL_NAMES}.")
    dtype: str = same_flag(StudyConfig, "dtype")
    attention: str = same_flag(StudyConfig, "attention")
    matmul_precision: str = same_flag(StudyConfig, "matmul_precision")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdapterFlags:
    """A saved adapter."""

    adapter: str = flag_field("Directory of the adapter.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetFlags:
    """A data set, and the part of it to use."""

    dataset: str = same_flag(StudyConfig, "dataset", required=True)
    max_test: int | None = same_flag(StudyConfig, "max_test")
    columns: str = same_flag(StudyConfig, "columns")
    text_column: str = same_flag(StudyConfig, "text_column")
    label_column: str = same_flag(StudyConfig, "label_column")
    encoding: str = same_flag(StudyConfig, "encoding")
    separator: str = same_flag(StudyConfig, "separator")
    max_unfolded_gib: float = flag_field(
        "Size to which a Parquet or Arrow file of data may unfold; if 0, 20 times its own size, or "
        "0.125 where that is more; if inf, any size.",
        0.0,
        real(0, on_host=True),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SessionFlags:
    """Several processes, and equal results on a GPU: parameters of `session.start`."""

    distributed: bool = flag_field(
        "This is one of several processes with the same command. They find each other on TPU pods, "
        "Slurm and Kubernetes, and elsewhere by --coordinator_address, --num_processes and "
        "--process_id.",
        False,
    )
    coordinator_address: str | None = flag_field("Host and port of process 0.", None)
    num_processes: int | None = flag_field("The number of processes.", None, whole(1, MAX_INT32))
    process_id: int | None = flag_field(
        "The number of this process, from 0.", None, whole(0, MAX_INT32)
    )
    deterministic: bool = flag_field(
        "On a GPU, the same bits in each invocation, at some cost of speed.", False
    )
