"""Adapters for those who serve them: what is accepted, what is merged, and what is refused."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import peft
import pytest
import torch
import transformers

from fsl_jax.adapt import attach, exporting, load_adapter, parse_method, save_adapter
from fsl_jax.adapt.adapter_files import HEAD
from fsl_jax.adapt.exporting import base_name, export_adapter
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.errors import InputError
from fsl_jax.models import export

pytestmark = [
    pytest.mark.usefixtures("quick_compilation"),
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning"),
]

TEXTS = ("w1 w2 east . Topic :", "w7 far", "very w9 w11 west")


@pytest.fixture
def save(tiny_bases, tmp_path):
    """Saves an adapter that does something: the directory and its base model."""

    def of(family, text, head=False):
        base, method = tiny_bases[family], parse_method(text)
        params = base.params | ({"head": {"kernel": jnp.ones((16, 3))}} if head else {})
        params, mask = attach(params, method, jax.random.key(0))
        random, leaves = np.random.default_rng(0), flatten(params)
        trained = {
            path: leaves[path] + np.float32(random.normal(size=leaves[path].shape, scale=0.2))
            for path, chosen in flatten(mask).items()
            if chosen
        }
        directory = tmp_path / "adapter"
        save_adapter(directory, method.finish(unflatten(trained)), method, base, {"kind": "test"})
        return directory, base

    return of


def logits_of(model, base):
    ids = base.tokenizer(TEXTS[0])["input_ids"]
    with torch.no_grad():
        return model.eval()(input_ids=torch.tensor([ids])).logits.numpy()


def ours(directory, base):
    ids = np.array([base.tokenizer(TEXTS[0])["input_ids"]], np.int32)
    return base.apply(load_adapter(directory, base).params, ids, ids >= 0).logits


@pytest.mark.parametrize(
    ("text", "target", "is_model", "note"),
    [
        ("lora(2)", "vllm", False, "--max-lora-rank=8, or more"),
        ("lora(513)", "vllm", True, "vLLM has ranks up to 512, and this is 513"),
        ("lora(2)+ia3", "vllm", True, "vLLM has LoRA alone, and this is lora+ia3"),
        pytest.param("lora(2, dora=True)", "vllm", True, "no DoRA", marks=pytest.mark.soak),
        pytest.param("ia3", "peft", False, "", marks=pytest.mark.soak),
        pytest.param("ia3", "merged", True, "", marks=pytest.mark.soak),
    ],
)
def test_others_compute_with_it_what_was_trained(save, tmp_path, text, target, is_model, note):
    directory, base = save("llama", text)
    found = export_adapter(directory, base, target, tmp_path / "out", TEXTS)
    assert found.is_model == is_model
    assert found.difference < 1e-5
    assert note in " ".join(found.notes)
    if is_model:
        model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    else:
        export(base, tmp_path / "base")
        plain = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base")
        model = peft.PeftModel.from_pretrained(plain, str(tmp_path / "out"))
        config = json.loads((tmp_path / "out/adapter_config.json").read_text())
        assert config.get("bias", "none") == "none"
        assert not config["modules_to_save"]
    expected = np.asarray(ours(directory, base))
    assert np.abs(logits_of(model, base) - expected).max() < 1e-5 * np.abs(expected).max()


def test_a_head_goes_into_a_file_of_its_own(save, tmp_path):
    directory, base = save("bert", "bitfit", head=True)
    found = export_adapter(directory, base, "merged", tmp_path / "out", TEXTS)
    assert found.is_model
    assert HEAD in found.notes[0]
    assert (tmp_path / "out" / HEAD).exists()
    assert "head" in load_adapter(directory, base).params
    # What PEFT has no adapters for is refused, and nothing is written.
    with pytest.raises(InputError, match="PEFT has no adapters of the kind bitfit on bert"):
        export_adapter(directory, base, "peft", tmp_path / "other", TEXTS)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("family", "text", "head", "target", "message"),
    [
        ("bert", "lora(2)", True, "vllm", "(?s)bert, and no decoder.*vLLM gives words"),
        ("llama", "adapter(size=2)", False, "vllm", "(?s)vLLM has LoRA alone.*is not linear"),
        ("llama", "adapter(size=2)", False, "merged", "a bottleneck is not linear"),
        ("llama", "ia3", False, "ollama", "unknown target of an export 'ollama'"),
    ],
)
def test_what_cannot_be_served_says_why(save, tmp_path, family, text, head, target, message):
    directory, base = save(family, text, head)
    with pytest.raises(InputError, match=message):
        export_adapter(directory, base, target, tmp_path / "out", TEXTS)
    assert not (tmp_path / "out").exists()


def test_what_computes_something_else_is_removed(save, tmp_path, monkeypatch):
    directory, base = save("llama", "ia3")
    merge = exporting.merge

    def wrong(params, pretrained):
        return jax.tree.map(lambda leaf: leaf * 1.01, merge(params, pretrained))

    monkeypatch.setattr(exporting, "merge", wrong)
    with pytest.raises(InputError, match="computed other numbers"):
        export_adapter(directory, base, "merged", tmp_path / "out", TEXTS)
    assert not (tmp_path / "out").exists()


def test_what_is_there_already_is_kept(save, tmp_path):
    directory, base = save("llama", "ia3")
    with pytest.raises(InputError, match="it is there already"):
        export_adapter(directory, base, "merged", directory, TEXTS)
    assert (directory / "adapter_config.json").exists()


def test_an_adapter_names_its_base(save, tmp_path):
    directory, base = save("llama", "ia3")
    assert base_name(directory) == base.name
    (directory / "fsl_jax.json").unlink()
    assert base_name(directory) == base.name
    with pytest.raises(InputError, match=r"there is no adapter_config.json"):
        base_name(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match="names no base model"):
        base_name(tmp_path)
