import pytest

from fsl_jax.errors import InputError


def test_too_few_examples_are_an_error_before_anything_is_loaded(running_study):
    with pytest.raises(InputError, match="too few examples"), running_study("lora", shots=1000):
        pass


def test_one_device_needs_no_mesh_and_the_test_set_is_cut(running_study):
    with running_study("lora", max_test=3) as study:
        assert study.mesh is None
        assert len(study.test) == 3
    with running_study("lora", runs_axis=8) as study:
        assert study.mesh.shape["runs"] == 8
