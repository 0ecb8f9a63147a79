"""Make curves for TensorBoard: one event file for each run, with equal bytes for equal runs."""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import RecordWriter
from tensorboardX.summary import scalar

from fsl_jax.outputs.names import directory_name
from fsl_jax.studies.records.jsonl import canonical_json
from fsl_jax.studies.records.records import RunRecord

DIRECTORY = "events"
FILE_NAME = "events.out.tfevents.0.fsl_jax"


def event_files(records: Iterable[RunRecord]) -> dict[str, bytes]:
    """Return the files with the curves of finished runs for `tensorboard --logdir`.

    Each run has a directory `MODEL/METHOD/seed=…,learning_rate=…,HASH` with one file. The file's
    name is fixed, so that writing a run again replaces its curves instead of showing them twice.
    The scalars are `validation/METRIC` and `train/loss` by step, and `test/METRIC` of a selected
    run at its best step. The time of an event is its step, since the real time would change the
    bytes.

    Args:
      records: the runs of a program; runs without a curve or a test value have no file.

    Returns:
      The contents of the files by their names relative to the study's directory.
    """
    events = {run_directory(record): list(_events(record)) for record in records}
    return {
        f"{DIRECTORY}/{directory}/{FILE_NAME}": _encoded(of_run)
        for directory, of_run in events.items()
        if of_run
    }


def run_directory(record: RunRecord) -> str:
    """Return the directory of a run's events, relative to the log directory.

    Args:
      record: the run.

    Returns:
      A path with the run's name and a hash of everything that distinguishes it from other runs.
    """
    names = ("dataset", "formulation", "shots", "steps", "batch_size", "weight_decay", "settings")
    shown = ("model", "method", "seed", "learning_rate")
    values = canonical_json([getattr(record, name) for name in (*shown, *names)])
    digest = hashlib.sha256(values.encode()).hexdigest()[:8]
    name = f"seed={record.seed},learning_rate={record.learning_rate}"
    return f"{directory_name(record.model)}/{directory_name(record.method)}/{name},{digest}"


def _events(record: RunRecord) -> Iterator[Event]:
    for point in record.curve:
        if point.metric is not None:
            yield _event(f"validation/{record.metric}", point.metric, point.step)
        if point.loss is not None:
            yield _event("train/loss", point.loss, point.step)
    if record.test is not None:
        yield _event(f"test/{record.metric}", record.test, record.best_step or 0)


def _event(tag: str, value: float, step: int) -> Event:
    return Event(wall_time=float(step), step=step, summary=scalar(tag, value))


def _encoded(events: Iterable[Event]) -> bytes:
    """Encode events in TensorBoard's framing, through a local file, as its writer needs a path."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / FILE_NAME
        writer = RecordWriter(str(path))
        for event in [Event(wall_time=0.0, file_version="brain.Event:2"), *events]:
            writer.write(event.SerializeToString(deterministic=True))
        writer.close()
        return path.read_bytes()
