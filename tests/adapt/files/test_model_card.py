"""The card of an adapter is what the hub reads, and what it says to do can be done."""

import dataclasses
import re

import huggingface_hub
import numpy as np
import peft
import pytest
import torch
import transformers

import fsl_jax
from fsl_jax.adapt import TRAINED_METHODS, load_adapter, merge, save_adapter
from fsl_jax.adapt.files.adapter_layout import CARD, HEAD
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.errors import InputError
from fsl_jax.models import export

pytestmark = [
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning"),
]

IDS = np.arange(2, 10, dtype=np.int32)[None]


@pytest.fixture
def save(save_moved):
    """Saves an adapter that does something: its card."""

    def to(directory, *given, **options):
        save_moved(directory, *given, **options)
        return huggingface_hub.ModelCard.load(directory / CARD)

    return to


def run(card, number, **places):
    """Run a snippet of the card with its placeholders filled in, and return its variables."""
    code = re.findall(r"```python\n(.*?)```", card.text, re.DOTALL)[number]
    for name, place in places.items():
        code = code.replace(f'"{name}"', repr(str(place)))
    found = {}
    exec(code, found)
    return found


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_peft_and_fsl_jax_load_it_as_the_card_says(tiny_bases, tmp_path, family, save):
    export(tiny_bases[family], tmp_path / "base")
    base = fsl_jax.load(str(tmp_path / "base"))
    card = save(tmp_path / "adapter", base, "lora(2)", head=True)
    # A directory of this machine is no name on the hub.
    assert (card.data.library_name, card.data.base_model) == ("peft", None)
    assert f"`{HEAD}`, which PEFT passes over" in card.text
    adapter = run(card, 1, DIRECTORY=tmp_path / "adapter")["adapter"]
    assert "head" in adapter.params
    expected = np.asarray(base.apply(adapter.params, IDS, IDS > 0, unembed=False).hidden)
    model = run(card, 0, BASE=tmp_path / "base", DIRECTORY=tmp_path / "adapter")["model"].eval()
    with torch.no_grad():
        output = model(torch.tensor(IDS).long(), output_hidden_states=True)
    found = output.hidden_states[-1].numpy()
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("family", "text", "absence"),
    [
        ("bert", "adapter(size=2)", "PEFT has no adapters of the kind adapter"),
        ("bert", "linear_probe", "PEFT has no adapters of the kind linear_probe"),
        (
            "gpt2",
            "ia3(inputs='query')",
            "of the kind IA3, but not for what this one adapts on gpt2",
        ),
    ],
)
def test_what_peft_has_not_says_what_peft_raises(tiny_bases, tmp_path, family, text, absence, save):
    card = save(tmp_path / "adapter", tiny_bases[family], text, head=True)
    assert (card.data.library_name, card.data.base_model) == ("fsl_jax", f"tiny-{family}")
    assert absence in card.text
    assert "from peft" not in card.text
    with pytest.raises(KeyError) as raised:
        peft.PeftConfig.from_pretrained(str(tmp_path / "adapter"))
    assert f"`KeyError: {raised.value}`" in card.text


def test_it_says_of_every_method_whether_merging_takes_it(tiny_bases, tmp_path, save):
    base, refused = tiny_bases["bert"], set()
    for name in TRAINED_METHODS.keys() - {"linear_probe"}:
        text = save(tmp_path / name, base, name).text
        params = load_adapter(tmp_path / name, base).params
        if "--for=merged" in text:
            merge(params, base)
            continue
        refused.add(name)
        reason = re.search(r"It cannot be merged into the weights of the model: (.*)\.", text)
        with pytest.raises(InputError, match=re.escape(reason[1])):
            merge(params, base)
    prompts = {"prompt_tuning", "p_tuning", "prefix_tuning", "p_tuning_v2"}
    assert refused == {"adapter", *prompts}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("some-one/a_model.v2", "some-one/a_model.v2"),
        ("gpt2", "gpt2"),
        ("minilm-l6", None),
        ("/somewhere/model", None),
        ("./model", None),
        ("models/one.gguf", None),
        ("here", None),
    ],
)
def test_the_hub_is_told_of_no_base_but_its_own(
    tiny_bases, tmp_path, monkeypatch, name, found, save
):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    base = dataclasses.replace(tiny_bases["llama"], name=name)
    card = save(tmp_path / "adapter", base, "ia3")
    assert card.data.base_model == found
    assert f"for the model `{name}`" in card.text
    assert ("`BASE` is a directory" in card.text) == (found is None)
    assert (f"--model={name} " in card.text) == (found is not None)


def test_an_adapter_of_pefts_that_is_saved_again_has_a_card_of_its_own(tiny_bases, tmp_path):
    base = tiny_bases["llama"]
    export(base, tmp_path / "base")
    plain = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    config = peft.LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")
    peft.get_peft_model(plain, config).save_pretrained(str(tmp_path / "adapter"))
    assert str(tmp_path / "base") in (tmp_path / "adapter" / CARD).read_text()
    adapter = load_adapter(tmp_path / "adapter", base)
    chosen = {path for path, own in flatten(adapter.mask).items() if own}
    leaves = {path: leaf for path, leaf in flatten(adapter.params).items() if path in chosen}
    save_adapter(tmp_path / "adapter", unflatten(leaves), adapter.method, base, {})
    card = huggingface_hub.ModelCard.load(tmp_path / "adapter" / CARD)
    assert (card.data.library_name, card.data.base_model) == ("peft", base.name)
    assert str(tmp_path) not in card.text
    # PEFT said nothing of how it was trained, so neither does this.
    assert not re.search(r"\btrained\b|learning", card.text)


def test_nothing_that_is_loaded_depends_on_it(tiny_bases, tmp_path, save):
    save(tmp_path / "adapter", tiny_bases["llama"], "ia3")
    (tmp_path / "adapter" / CARD).write_text("mine")
    load_adapter(tmp_path / "adapter", tiny_bases["llama"])
    (tmp_path / "adapter" / CARD).unlink()
    load_adapter(tmp_path / "adapter", tiny_bases["llama"])
