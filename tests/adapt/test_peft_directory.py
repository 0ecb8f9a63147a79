"""A whole tree goes into a directory and comes back."""

import json

import jax
import numpy as np
import pytest

from fsl_jax.adapt import BitFit, LoRA, attach, load_peft, save_peft
from fsl_jax.adapt.tree import flatten
from fsl_jax.errors import InputError


@pytest.mark.parametrize(("method", "kind"), [(LoRA(2), "LORA"), (BitFit(), "FSL_JAX_BITFIT")])
def test_a_tree_comes_back_as_it_was(tiny_bases, tmp_path, method, kind):
    base = tiny_bases["bert"]
    params, mask = attach(base.params, method, jax.random.key(0))
    moved = jax.tree.map(lambda leaf, trained: leaf + 1 if trained else leaf, params, mask)
    save_peft(tmp_path / "adapter", moved, base, method)
    assert json.loads((tmp_path / "adapter/adapter_config.json").read_text())["peft_type"] == kind
    loaded, expected = flatten(load_peft(tmp_path / "adapter", base)), flatten(moved)
    assert loaded.keys() == expected.keys()
    for path, leaf in loaded.items():
        np.testing.assert_array_equal(leaf, expected[path], path)


def test_a_tree_that_lacks_the_methods_leaves_is_an_error(tiny_bases, tmp_path):
    base = tiny_bases["bert"]
    with pytest.raises(InputError, match="lora_"):
        save_peft(tmp_path / "adapter", base.params, base, LoRA(2))
    assert not (tmp_path / "adapter").exists()


def test_a_kind_that_is_not_known_names_the_known_ones(tiny_bases, tmp_path):
    base = tiny_bases["bert"]
    params, _ = attach(base.params, LoRA(2), jax.random.key(0))
    save_peft(tmp_path / "adapter", params, base, LoRA(2))
    (tmp_path / "adapter/fsl_jax.json").unlink()
    config = tmp_path / "adapter/adapter_config.json"
    config.write_text(config.read_text().replace('"LORA"', '"LOKR"'))
    with pytest.raises(InputError, match=r"LOKR.*LORA"):
        load_peft(tmp_path / "adapter", base)
