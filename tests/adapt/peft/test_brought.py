"""Modules that PEFT saves with an adapter, heads above all: PEFT itself is the reference."""

import json

import jax
import numpy as np
import peft_classifiers as peft_side
import pytest
import transformers

import fsl_jax
from fsl_jax.adapt import load_adapter, load_peft
from fsl_jax.adapt.tree import flatten
from fsl_jax.errors import InputError

pytestmark = [
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:peft"),
]


def load_base(case, task):
    classes = {"num_labels": 2} if task == "QUESTION_ANS" else {}
    return fsl_jax.load(str(case.base), head=peft_side.HEADS[task], **classes)


def error_of(case, task):
    base = load_base(case, task)
    params = load_peft(case.adapter, base)
    mask = np.ones(peft_side.IDS.shape, bool)
    logits = np.asarray(jax.jit(base.apply)(params, peft_side.IDS, mask).logits)
    expected = case.logits
    if expected.ndim == 3:
        # PEFT gives the logits of virtual tokens too.
        expected = expected[:, -logits.shape[1] :]
    assert logits.shape == expected.shape
    return np.abs(logits - expected).max() / np.abs(expected).max()


QUICK = {
    ("lora", "Bert", "SEQ_CLS"),
    ("ia3", "DistilBert", "SEQ_CLS"),
    ("ln_tuning", "GPT2", "TOKEN_CLS"),
    ("lora", "T5", "TOKEN_CLS"),
    ("prefix_tuning", "Llama", "SEQ_CLS"),
    ("dora", "Llama", "QUESTION_ANS"),
}
KINDS = ("lora", "dora", "adalora", "vera", "ia3", "ln_tuning")
PROMPTS = ("prompt_tuning", "p_tuning", "prefix_tuning")


def cases():
    for kind in KINDS + PROMPTS:
        for family in peft_side.FAMILIES:
            for task in ("SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS"):
                of_encoder_decoder = family in ("T5", "MT5")
                exists = hasattr(transformers, family + peft_side.CLASSES[task])
                # PEFT itself fails with these.
                fails = of_encoder_decoder and kind in PROMPTS
                fails |= family == "DistilBert" and kind == "prefix_tuning"
                if not exists or fails or (of_encoder_decoder and task == "QUESTION_ANS"):
                    continue
                pools_prompt = family in ("Bert", "Roberta", "XLMRoberta", "DistilBert")
                if kind in PROMPTS[:2] and pools_prompt and task == "SEQ_CLS":
                    continue
                marks = [] if (kind, family, task) in QUICK else [pytest.mark.soak]
                yield pytest.param(kind, family, task, marks=marks)


@pytest.mark.parametrize(("kind", "family", "task"), list(cases()))
def test_the_head_that_an_adapter_brings_gives_pefts_logits(peft_classifier, kind, family, task):
    assert error_of(peft_classifier(kind, family, task), task) < 1e-5


MODULES = [
    # The head's own linear layers are adapted, and the head is the base's.
    ("lora", "T5", "SEQ_CLS", {"target_modules": "all-linear"}, ["dense/lora_a"]),
    # PEFT names these layers, and saves the whole head instead of their adapters.
    ("lora", "Roberta", "SEQ_CLS", {"target_modules": "all-linear"}, ["classifier/dense/kernel"]),
    (
        "lora",
        "Bert",
        "SEQ_CLS",
        {"modules_to_save": ["pooler", "1.output.LayerNorm", "word_embeddings"]},
        ["pooler/kernel", "layers/mlp/norm/scale", "embeddings/word/embedding"],
    ),
    (
        "lora",
        "GPT2",
        "TOKEN_CLS",
        {"target_modules": ["c_fc"], "modules_to_save": ["classifier", "0.attn.c_attn"]},
        ["layers/attention/query/kernel", "layers/attention/value/bias"],
    ),
    (
        "ia3",
        "Llama",
        "CAUSAL_LM",
        {
            "target_modules": ["k_proj"],
            "feedforward_modules": [],
            "modules_to_save": ["lm_head", "embed_tokens", "norm"],
        },
        ["unembedding/kernel", "embeddings/word/embedding", "norm/scale"],
    ),
]


@pytest.mark.parametrize(("kind", "family", "task", "changes", "ends"), MODULES)
def test_other_modules_replace_those_of_the_base(
    peft_classifier, kind, family, task, changes, ends
):
    case = peft_classifier(kind, family, task, sizes={"tie_word_embeddings": False}, **changes)
    assert error_of(case, task) < 1e-5
    base = load_base(case, task)
    adapter = load_adapter(case.adapter, base)
    leaves, before = flatten(adapter.params), flatten(base.params)
    for end in ends:
        path = next(path for path in leaves if path.endswith(end))
        assert flatten(adapter.mask)[path]
        assert path not in before or not np.array_equal(leaves[path], before[path])


@pytest.mark.parametrize(
    ("modules", "name"),
    [(["embed_tokens"], "embed_tokens"), (["lm_head"], "lm_head")],
)
def test_embeddings_that_peft_unties_are_refused_by_name(peft_classifier, modules, name):
    case = peft_classifier(
        "lora", "Llama", "CAUSAL_LM", sizes={"tie_word_embeddings": True}, modules_to_save=modules
    )
    with pytest.raises(InputError, match=rf"{name}\.weight is an embedding of its own in PEFT"):
        load_peft(case.adapter, load_base(case, "CAUSAL_LM"))


def test_a_base_without_the_head_says_how_to_load_it(peft_classifier):
    case = peft_classifier(
        "lora", "Llama", "SEQ_CLS", plain=True, sizes={"tie_word_embeddings": True}
    )
    advice = r"without one\. Load it with head='sequence_classification', num_labels=3"
    with pytest.raises(InputError, match=advice):
        load_peft(case.adapter, fsl_jax.load(str(case.base)))
    base = fsl_jax.load(str(case.base), head="sequence_classification", num_labels=3)
    params = load_peft(case.adapter, base)
    logits = base.apply(params, peft_side.IDS, np.ones(peft_side.IDS.shape, bool)).logits
    np.testing.assert_allclose(logits, case.logits, rtol=1e-4, atol=1e-5)
    other = fsl_jax.load(str(case.base), head="sequence_classification", num_labels=2)
    with pytest.raises(InputError, match=r"score.weight is \[3, 16\], expected \[2, 16\]"):
        load_peft(case.adapter, other)
    tokens = fsl_jax.load(str(case.base), head="token_classification", num_labels=3)
    with pytest.raises(InputError, match="was loaded with the head token_classification"):
        load_peft(case.adapter, tokens)


@pytest.mark.parametrize(
    ("kind", "family", "task", "changes", "message"),
    [
        ("prompt_tuning", "Bert", "SEQ_CLS", {}, "hidden state of the first virtual token"),
        ("lora", "T5", "QUESTION_ANS", {}, "the decoder says where an answer is"),
        ("lora", "Llama", "CAUSAL_LM", {"trainable_token_indices": [3]}, "trainable_token_indices"),
    ],
)
def test_what_is_not_read_is_refused_by_name(peft_classifier, kind, family, task, changes, message):
    case = peft_classifier(kind, family, task, **changes)
    with pytest.raises(InputError, match=message):
        load_peft(case.adapter, load_base(case, task))


def test_tensors_that_a_listed_module_lacks_are_missing(peft_classifier):
    case = peft_classifier("lora", "Bert", "SEQ_CLS")
    path = case.adapter / "adapter_config.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"modules_to_save": ["classifier", "pooler"]}))
    with pytest.raises(InputError, match=r"missing: pooler\.dense\.weight, of a module in modules"):
        load_peft(case.adapter, load_base(case, "SEQ_CLS"))
