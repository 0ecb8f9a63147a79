import json

import pytest
from absl import logging

from fsl_jax.errors import InputError
from fsl_jax.outputs.lock import hold_directory
from fsl_jax.studies.running.opening import hold_output, require_free_output


def test_too_few_examples_are_an_error_before_anything_is_loaded(running_study):
    with pytest.raises(InputError, match="too few examples"), running_study("lora", shots=1000):
        pass


def test_one_device_needs_no_mesh_and_the_test_set_is_cut(running_study):
    with running_study("lora", max_test=3) as study:
        assert study.mesh is None
        assert len(study.test) == 3
    with running_study("lora", runs_axis=8) as study:
        assert study.mesh.shape["runs"] == 8


def test_devices_that_are_not_used_are_told_once(running_study, monkeypatch):
    told = []
    monkeypatch.setattr(logging, "log_first_n", lambda *arguments: told.append(arguments))
    with running_study("lora", runs_axis=2), running_study("lora", runs_axis=8):
        pass
    ((level, message, times),) = told
    assert (level, times) == (logging.WARNING, 1)
    assert message.startswith("2 of 8 devices are used. --mesh_runs=8")


def test_a_study_holds_its_directory_and_leaves_nothing_behind(tmp_path):
    output = tmp_path / "out"
    with hold_output(output, None):
        with pytest.raises(InputError, match="is being written by process"):
            require_free_output(output)
        with pytest.raises(InputError, match="is being written by process"):
            hold_output(output, None).__enter__()
    require_free_output(output)
    assert not output.exists()


def test_a_plan_that_has_just_appeared_or_gone_is_noticed(tmp_path):
    plan = {"question": {}, "environment": {}, "data": {}, "programs": []}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(InputError, match="has just written to it"), hold_output(tmp_path, None):
        pass
    with hold_output(tmp_path, plan):
        pass


def test_parts_of_a_study_that_cannot_be_written_are_refused(tmp_path):
    (tmp_path / "adapters").write_text("")
    with pytest.raises(InputError, match="adapters: expected a directory"):
        hold_output(tmp_path, None).__enter__()
    with hold_directory(tmp_path):
        pass
