"""A base model gets the head that an adapter from PEFT brings, and exports keep it."""

import dataclasses
import json

import numpy as np
import peft_classifiers as peft_side
import pytest
import transformers

import fsl_jax
from fsl_jax.adapt import load_adapter, save_peft
from fsl_jax.adapt.files.brought_base import with_brought_head
from fsl_jax.adapt.files.exporting import export_adapter
from fsl_jax.errors import InputError
from fsl_jax.studies.planning.base_model import load_base

pytestmark = [
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:peft"),
]

TEXTS = ("w1 w2 east", "w7 north w3 w9 w11", "very w9")


def probabilities(logits):
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


SOAK = pytest.mark.soak
OTHERS = peft_side.FAMILIES.keys() - {"Bert", "Llama"}


@pytest.mark.parametrize(
    "family",
    ["Bert", "Llama", *(pytest.param(f, marks=SOAK) for f in sorted(OTHERS))],
)
def test_a_merged_classifier_answers_in_a_pipeline(peft_classifier, tmp_path, family):
    targets = {"target_modules": "all-linear"} if family in ("T5", "MT5") else {}
    case = peft_classifier("lora", family, "SEQ_CLS", **targets)
    base = load_base(str(case.base), "float32", adapter=case.adapter)
    assert base.labels == peft_side.LABELS
    exported = export_adapter(case.adapter, base, "merged", tmp_path / "out", TEXTS)
    assert exported.difference < (3e-5 if family == "MT5" else 1e-5)
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert config["architectures"] == [f"{family}ForSequenceClassification"]
    assert config["label2id"] == {"east": 0, "north": 1, "west": 2}
    assert config["problem_type"] == "single_label_classification"
    params = load_adapter(case.adapter, base).params
    # transformers has a tokenizer of its own for some families, with other rules than the tiny one.
    options = {"tokenizer": base.tokenizer, "top_k": None}
    pipeline = transformers.pipeline("text-classification", str(tmp_path / "out"), **options)
    for text in TEXTS:
        ids = np.array([base.tokenizer(text)["input_ids"]], np.int32)
        ours = probabilities(np.asarray(base.apply(params, ids, ids >= 0).logits)[0])
        theirs = {row["label"]: row["score"] for row in pipeline([text])[0]}
        assert theirs == pytest.approx(dict(zip(base.labels, ours.tolist(), strict=True)), abs=1e-4)


def test_names_of_classes_come_from_beside_the_adapter_or_the_base(peft_classifier):
    case = peft_classifier("ia3", "Bert", "SEQ_CLS", plain=True)
    plain = fsl_jax.load(str(case.base))
    assert with_brought_head(case.adapter, plain).labels == peft_side.LABELS
    (case.adapter / "config.json").write_text(json.dumps({"id2label": {"0": "a", "1": "b"}}))
    assert with_brought_head(case.adapter, plain).labels == peft_side.LABELS
    names = {"0": "a", "1": "b", "2": "c"}
    (case.adapter / "config.json").write_text(json.dumps({"id2label": names}))
    found = with_brought_head(case.adapter, plain)
    assert (found.head, found.labels) == ("sequence_classification", ("a", "b", "c"))
    # A base with a head keeps it, and so does one whose adapter brings none.
    assert with_brought_head(case.adapter, found) is found
    mask = np.ones(peft_side.IDS.shape, bool)
    params = load_adapter(case.adapter, found).params
    logits = found.apply(params, peft_side.IDS, mask).logits
    np.testing.assert_allclose(logits, case.logits, rtol=1e-4, atol=1e-5)


def test_modules_that_cannot_be_written_again_are_not_lost(peft_classifier, tmp_path):
    case = peft_classifier("lora", "Llama", "SEQ_CLS")
    base = load_base(str(case.base), "float32", adapter=case.adapter)
    for target, message in (
        ("peft", "(?s)with whole modules of the model.*classifier/output/kernel"),
        ("vllm", "the task head gives classes"),
    ):
        with pytest.raises(InputError, match=message):
            export_adapter(case.adapter, base, target, tmp_path / "out", TEXTS)
    adapter = load_adapter(case.adapter, base)
    with pytest.raises(InputError, match=r"(?s)would lose.*classifier/output/kernel"):
        save_peft(tmp_path / "again", adapter.params, base, adapter.method)


def test_an_adapter_without_a_head_leaves_the_base_as_it_is(peft_classifier, tmp_path):
    case = peft_classifier("lora", "Llama", "CAUSAL_LM")
    base = fsl_jax.load(str(case.base))
    assert with_brought_head(case.adapter, base) is base
    assert with_brought_head(tmp_path / "absent", base) is base


def test_a_head_that_neither_has_whole_is_refused(peft_classifier):
    case = peft_classifier("lora", "Bert", "SEQ_CLS")
    base = fsl_jax.load(str(case.base))
    config = dataclasses.replace(base.config, has_pooler=False)
    params = {name: tree for name, tree in base.params.items() if name != "pooler"}
    base = dataclasses.replace(base, config=config, params=params)
    with pytest.raises(InputError, match=r"(?s)needs tensors that neither.*pooler\.dense\.weight"):
        with_brought_head(case.adapter, base)
