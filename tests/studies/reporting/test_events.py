import struct
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import masked_crc32c

from fsl_jax.studies.reporting.events import FILE_NAME, event_files, run_directory


def read_events(data):
    """The events of a file, every checksum compared."""
    events = []
    while data:
        (size,) = struct.unpack("<Q", data[:8])
        body = data[12 : 12 + size]
        assert struct.unpack("<I", data[8:12]) == (masked_crc32c(data[:8]),)
        assert struct.unpack("<I", data[12 + size : 16 + size]) == (masked_crc32c(body),)
        events.append(Event.FromString(body))
        data = data[16 + size :]
    return events


def scalars(data):
    return [
        (value.tag, event.step, value.simple_value)
        for event in read_events(data)
        for value in event.summary.value
    ]


def test_curves_and_the_test_value_are_scalars_by_step(make_record):
    record = make_record()
    ((name, data),) = event_files([record]).items()
    assert name == f"events/{run_directory(record)}/{FILE_NAME}"
    assert read_events(data)[0].file_version == "brain.Event:2"
    assert [(tag, step, round(value, 4)) for tag, step, value in scalars(data)] == [
        ("validation/accuracy", 0, 0.25),
        ("validation/accuracy", 10, 0.5),
        ("train/loss", 10, 1.5),
        ("validation/accuracy", 20, 0.75),
        ("train/loss", 20, 0.5),
        ("test/accuracy", 20, 0.7),
    ]


def test_equal_runs_have_equal_bytes(make_record):
    assert event_files([make_record()]) == event_files([make_record()])


def test_runs_that_differ_in_any_setting_have_directories_of_their_own(make_record):
    records = [
        make_record(),
        make_record(seed=21),
        make_record(learning_rate=0.1),
        make_record(settings={"rank": 4}),
        make_record(weight_decay=0.0),
        make_record(model="org/name"),
        make_record(model="org_name"),
    ]
    assert len({run_directory(record) for record in records}) == len(records)


def test_a_directory_stays_below_the_log_directory(make_record):
    for model in ("../../up", "/absolute/path", "gs://bucket/model", ".."):
        path = Path(run_directory(make_record(model=model)))
        assert len(path.parts) == 3
        assert not path.is_absolute()
        assert ".." not in path.parts


def test_the_order_of_settings_does_not_matter(make_record):
    first, second = ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert run_directory(make_record(settings=first)) == run_directory(make_record(settings=second))


def test_a_run_with_nothing_to_draw_has_no_file(make_record):
    assert event_files([make_record("failed")]) == {}
