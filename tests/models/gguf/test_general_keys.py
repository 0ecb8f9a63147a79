import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.gguf.general_keys import require_model


def test_a_model_may_have_any_description():
    require_model("model.gguf", {})
    known = {"general.type": "model", "general.quantization_version": 2, "general.name": "x"}
    require_model("model.gguf", known)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("general.type", "adapter"),
        ("general.type", "mmproj"),
        ("general.type", 1),
        ("general.quantization_version", 3),
        ("general.quantization_version", 2.0),
        ("general.quantization_version", [2]),
    ],
)
def test_other_files_and_layouts_are_refused(key, value):
    with pytest.raises(InputError, match=rf"^model\.gguf: not a model(.|\n)*{key} is .*expected"):
        require_model("model.gguf", {key: value})
