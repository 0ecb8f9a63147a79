"""Adapters for those who serve them: what is accepted, what is merged, and what is refused."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import peft
import pytest
import torch
import transformers
from etils import epath

from fsl_jax.adapt import load_adapter, save_adapter
from fsl_jax.adapt.files import exporting
from fsl_jax.adapt.files.adapter_layout import HEAD
from fsl_jax.adapt.files.exporting import export_adapter
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.errors import InputError
from fsl_jax.models import export
from fsl_jax.models.families.registry import module_of, parameter_shapes
from fsl_jax.models.families.t5.config import T5Config

pytestmark = [
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning"),
]

TEXTS = ("w1 w2 east . Topic :", "w7 far", "very w9 w11 west")


@pytest.fixture
def base_of(tiny_bases):
    """The tiny model of a family, drawn where there is none in `tiny_bases`."""

    def of(family):
        if family in tiny_bases:
            return tiny_bases[family]
        bert = tiny_bases["bert"]
        config = dataclasses.replace(bert.config, family=family)
        if family == "distilbert":
            config = dataclasses.replace(config, num_token_types=0, has_pooler=False)
        elif family == "t5":
            config = T5Config(64, 16, 40, 2, 2, 4, 4, num_buckets=8, max_distance=12)
        else:
            config = dataclasses.replace(config, first_position=2)
        random = np.random.default_rng(2)
        leaves = {
            path: jnp.asarray(random.normal(size=shape, scale=0.2), jnp.float32)
            for path, shape in parameter_shapes(config).items()
        }
        module = module_of(config)
        return dataclasses.replace(
            bert, name=f"tiny-{family}", config=config, module=module, params=unflatten(leaves)
        )

    return of


@pytest.fixture
def save(base_of, save_moved, tmp_path):
    """Saves an adapter that does something: the directory and its base model."""

    def of(family, text, head=False):
        directory, base = tmp_path / "adapter", base_of(family)
        save_moved(directory, base, text, head, {"kind": "test"})
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


@pytest.mark.parametrize("target", ["peft", "vllm"])
def test_an_adapter_of_pefts_whose_layers_differ_in_scale_is_served(
    base_of, tmp_path, target, adapted_by_peft
):
    base = base_of("llama")
    export(base, tmp_path / "base")
    config = peft.LoraConfig(
        r=2,
        target_modules=["q_proj", "v_proj"],
        rank_pattern={"q_proj": 4},
        alpha_pattern={"v_proj": 3},
    )
    plain = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    theirs = adapted_by_peft(plain, config)
    theirs.save_pretrained(str(tmp_path / "theirs"))
    expected = logits_of(theirs, base)
    found = export_adapter(tmp_path / "theirs", base, target, tmp_path / "out", TEXTS)
    assert not found.is_model
    plain = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    again = peft.PeftModel.from_pretrained(plain, str(tmp_path / "out"))
    assert np.abs(logits_of(again, base) - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("text", ["vera(2)", "prompt_tuning(2)", "p_tuning_v2(2)"])
def test_peft_has_what_is_saved_of_an_adapter_and_no_more(save, tmp_path, text):
    directory, base = save("llama", text)
    found = export_adapter(directory, base, "peft", tmp_path / "out", TEXTS)
    assert (found.is_model, found.notes) == (False, ())
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        assert (tmp_path / "out" / name).read_bytes() == (directory / name).read_bytes()
    export(base, tmp_path / "base")
    plain = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    model = peft.PeftModel.from_pretrained(plain, str(tmp_path / "out"))
    expected = np.asarray(ours(directory, base))
    last = logits_of(model, base)[:, -expected.shape[1] :]
    assert np.abs(last - expected).max() < 1e-5 * np.abs(expected).max()


def test_a_model_that_vllm_has_without_adapters_is_merged(save, tmp_path):
    directory, base = save("gpt2", "lora(2)")
    found = export_adapter(directory, base, "vllm", tmp_path / "out", TEXTS)
    assert found.notes == ("It is merged: vLLM has no adapters for the family gpt2.",)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    expected = np.asarray(ours(directory, base))
    assert np.abs(logits_of(model, base) - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("family", "architecture", "text"),
    [
        ("bert", "BertModel", "lora(2)"),
        ("roberta", "RobertaModel", "bitfit"),
        pytest.param("xlm-roberta", "XLMRobertaModel", "ia3", marks=pytest.mark.soak),
    ],
)
def test_vllm_has_the_embeddings_of_encoders(save, tmp_path, family, architecture, text):
    directory, base = save(family, text, head=True)
    found = export_adapter(directory, base, "vllm", tmp_path / "out", TEXTS)
    notes = " ".join(found.notes)
    assert f"vLLM has no adapters for the family {family}." in notes
    assert "(--runner=pooling)" in notes
    assert "The task head is left out, for vLLM has no place for it: " in notes
    assert notes.endswith(f"use it from {directory}.")
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert config["architectures"] == [architecture]
    # vLLM reads whatever has this ending.
    assert [each.name for each in (tmp_path / "out").glob("*.safetensors")] == ["model.safetensors"]
    ids = np.array([base.tokenizer(TEXTS[0])["input_ids"]], np.int32)
    expected = np.asarray(base.apply(load_adapter(directory, base).params, ids, ids >= 0).hidden)
    model = transformers.AutoModel.from_pretrained(tmp_path / "out").eval()
    with torch.no_grad():
        hidden = model(input_ids=torch.tensor(ids).long()).last_hidden_state.numpy()
    assert np.abs(hidden - expected).max() < 1e-5 * np.abs(expected).max()


def test_an_encoder_decoder_is_compared_by_its_words(save, tmp_path):
    directory, base = save("t5", "lora(2)")
    found = export_adapter(directory, base, "merged", tmp_path / "out", TEXTS)
    assert found.difference < 1e-5
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out").eval()
    ids = np.array([base.tokenizer(TEXTS[0])["input_ids"]], np.int32)
    start = np.array([[0]], np.int32)
    params = load_adapter(directory, base).params
    expected = np.asarray(base.apply(params, ids, ids >= 0, decoder_input_ids=start).logits)
    with torch.no_grad():
        found = model(torch.tensor(ids).long(), decoder_input_ids=torch.tensor(start).long())
    assert np.abs(found.logits.numpy() - expected).max() < 1e-5 * np.abs(expected).max()


def test_a_head_goes_into_a_file_of_its_own(save, tmp_path):
    directory, base = save("bert", "bitfit", head=True)
    with pytest.raises(InputError, match=r"does not say how its head pools.*--separate_head"):
        export_adapter(directory, base, "merged", tmp_path / "out", TEXTS)
    assert not (tmp_path / "out").exists()
    found = export_adapter(directory, base, "merged", tmp_path / "out", TEXTS, separate_head=True)
    assert found.is_model
    assert HEAD in found.notes[0]
    assert (tmp_path / "out" / HEAD).exists()
    assert "head" in load_adapter(directory, base).params
    # What PEFT has no adapters for is refused, and nothing is written.
    with pytest.raises(InputError, match="PEFT has no adapters of the kind bitfit"):
        export_adapter(directory, base, "peft", tmp_path / "other", TEXTS)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("family", "text", "head", "target", "message"),
    [
        ("llama", "lora(2)", True, "vllm", "the task head gives classes, and vLLM gives words"),
        ("bert", "linear_probe", True, "vllm", "a task head alone.*: nothing would be left"),
        ("bert", "prompt_tuning(2)", False, "vllm", r"(?s)adapters for the family bert.*no weight"),
        ("distilbert", "lora(2)", False, "vllm", r"DistilBertModel, .*Write a merged model"),
        ("t5", "lora(2)", False, "vllm", "T5ForConditionalGeneration, which is no decoder.*Write"),
        ("t5", "prompt_tuning(2)", False, "vllm", "which is no decoder.*XLMRobertaModel$"),
        ("gpt2", "ia3(inputs='query')", False, "peft", r"on gpt2\. Write a merged model"),
        ("llama", "adapter(size=2)", False, "peft", r"And it cannot be merged: a bottleneck is"),
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
    assert not list(tmp_path.glob("*out*"))


def test_what_cannot_be_read_again_is_removed(save, tmp_path, monkeypatch):
    directory, base = save("llama", "ia3")

    def unreadable(written, **options):
        assert (epath.Path(written) / "config.json").exists()
        raise OSError("the disk is gone")

    monkeypatch.setattr(exporting, "load", unreadable)
    with pytest.raises(OSError, match="the disk is gone"):
        export_adapter(directory, base, "merged", tmp_path / "out", TEXTS)
    assert not list(tmp_path.glob("*out*"))


def test_errors_name_the_output_and_not_where_it_is_staged(save, tmp_path, monkeypatch):
    directory, base = save("llama", "ia3")

    def refuse(written, **options):
        raise InputError(f"{written}: this model cannot be loaded")

    monkeypatch.setattr(exporting, "load", refuse)
    output = tmp_path / "out"
    with pytest.raises(InputError, match=f"^{output}: this model cannot be loaded$"):
        export_adapter(directory, base, "merged", output, TEXTS)


@pytest.mark.parametrize("target", ["peft", "merged"])
def test_numbers_that_are_not_finite_are_found_in_the_adapter(save, tmp_path, target):
    directory, base = save("llama", "lora(2)")
    adapter = load_adapter(directory, base)
    leaves = {path: leaf for path, leaf in flatten(adapter.params).items() if "lora" in path}
    broken = "layers/attention/query/lora_b"
    leaves[broken] = leaves[broken].at[0, 0, 0].set(jnp.nan)
    save_adapter(directory, unflatten(leaves), adapter.method, base, {})
    with pytest.raises(InputError, match=f"(?s)not finite with this adapter.*  - {broken}$"):
        export_adapter(directory, base, target, tmp_path / "out", TEXTS)
    assert not (tmp_path / "out").exists()


def test_what_is_there_already_is_kept(save, tmp_path):
    directory, base = save("llama", "ia3")
    with pytest.raises(InputError, match="it is there already"):
        export_adapter(directory, base, "merged", directory, TEXTS)
    assert (directory / "adapter_config.json").exists()
