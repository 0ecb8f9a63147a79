"""PEFT's config and ours must say the same of an adapter's numbers."""

import pytest

from fsl_jax.adapt import LoRA, load_adapter
from fsl_jax.adapt.files.adapter_layout import CONFIG
from fsl_jax.adapt.files.config_agreement import disagreements
from fsl_jax.errors import InputError
from tests.plugins.adapter_records import edit_config


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"lora_alpha": 4}, ["says alpha 4.0, fsl_jax.json says alpha 16.0"]),
        (
            {"use_rslora": True},
            [
                f"makes layers/attention/{name}/lora_scale 11.3137, fsl_jax.json makes it 8"
                for name in ("query", "value")
            ],
        ),
        (
            {"alpha_pattern": {"query": 4}},
            ["makes layers/attention/query/lora_scale 2, fsl_jax.json makes it 8"],
        ),
        (
            {"alpha_pattern": {"0.attention.self.query": 4}},
            ["makes layers/attention/query/lora_scale 2, 8, fsl_jax.json makes it 8"],
        ),
    ],
)
def test_a_config_that_was_edited_is_told_from_the_other(bert, save_moved, tmp_path, change, found):
    save_moved(tmp_path / "a", bert, "lora(2)")
    load_adapter(tmp_path / "a", bert)
    edit_config(tmp_path / "a", **change)
    with pytest.raises(InputError) as error:
        load_adapter(tmp_path / "a", bert)
    assert error.value.problems == tuple(f"{CONFIG} {fault}" for fault in found)


def test_what_only_trains_may_differ():
    one, other = LoRA(2, learning_rate_ratio=4.0), LoRA(2, learning_rate_ratio=16.0)
    assert not disagreements(one, {}, other)


@pytest.mark.parametrize("text", ["lora(2, layers='last 1')", "lora(2, scaling='rslora')"])
def test_layers_that_are_not_adapted_have_no_scale(bert, save_moved, tmp_path, text):
    save_moved(tmp_path / "a", bert, text)
    assert load_adapter(tmp_path / "a", bert).method.rank == 2
