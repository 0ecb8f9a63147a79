import json
import platform

import jax

from fsl_jax.studies.planning import environment


def test_versions_are_those_of_what_runs():
    versions = environment.versions()
    assert versions["jax"] == jax.__version__
    assert versions["python"] == platform.python_version()
    assert set(versions) == {"python", *environment.PACKAGES}


def test_a_package_used_from_its_sources_is_said_to_be_so(monkeypatch):
    monkeypatch.setattr(environment, "PACKAGES", ("no_such_package_anywhere",))
    assert environment.versions()["no_such_package_anywhere"] == "not installed"


def test_devices_and_settings_that_change_numbers_are_described():
    described = environment.describe()
    assert (described["backend"], described["devices"]) == ("cpu", 8)
    assert described["device_kind"] == jax.devices()[0].device_kind
    assert described["threads"] >= 1
    assert "threefry" in described["prng"]
    assert described["matmul_precision"] == "default"
    with jax.default_matmul_precision("highest"):
        assert environment.describe()["matmul_precision"] == "highest"


def test_it_is_json_and_the_same_every_time():
    described = environment.describe()
    assert json.loads(json.dumps(described)) == described == environment.describe()
