"""Task heads as the heads of transformers' classes, where those can compute the same."""

import dataclasses

import jax
import numpy as np
import pytest
import transformers

from fsl_jax.adapt import load_adapter, parse_method, save_adapter
from fsl_jax.adapt.files.exporting import export_adapter
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.errors import InputError
from fsl_jax.formulations import HeadFormulation
from fsl_jax.formulations.batches import unpacked_batch
from fsl_jax.models.families.bert.model import BertConfig
from fsl_jax.models.families.gpt2.model import GPT2Config
from fsl_jax.models.families.llama.model import LlamaConfig
from fsl_jax.models.families.t5.config import T5Config

TEXTS = ("w1 w2 east", "w7 north w3 w9 w11")
LABELS = ("no", "yes", "perhaps")
SIZES = {"vocab_size": 64, "hidden_size": 16, "mlp_size": 24, "num_layers": 2, "num_heads": 4}
BERT = BertConfig(**SIZES, max_length=32, has_pooler=True)
CONFIGS = {
    "bert": BERT,
    "roberta": dataclasses.replace(BERT, family="roberta", first_position=1, has_pooler=False),
    "distilbert": dataclasses.replace(
        BERT, family="distilbert", num_token_types=0, has_pooler=False
    ),
    "gpt2": GPT2Config(**SIZES, max_length=32),
    "llama": LlamaConfig(**SIZES, max_length=32, num_kv_heads=2, head_dim=4),
    "t5": T5Config(
        **SIZES,
        max_length=32,
        num_decoder_layers=2,
        head_dim=4,
        num_buckets=8,
        max_distance=16,
        decoder_start_token=0,
    ),
}


@pytest.fixture
def adapter(build_tiny, eos_tokenizer, tmp_path):
    """Saves an adapter with a task head: its directory and its base model."""

    def save(family, pooling, bias=(0.5, -1.0, 0.25), **description):
        base = build_tiny(CONFIGS[family], eos_tokenizer, 3, 0.3)
        method, random = parse_method("lora(2)"), np.random.default_rng(1)
        shapes = flatten(jax.eval_shape(method.extend, base.params, jax.random.key(0)))
        leaves = {
            path: random.normal(size=leaf.shape, scale=0.3).astype(np.float32)
            for path, leaf in shapes.items()
            if path.endswith(("/lora_a", "/lora_b"))
        }
        leaves["head/kernel"] = random.normal(size=(16, 3)).astype(np.float32)
        leaves["head/bias"] = np.float32(bias)
        values = {"name": "head", "labels": list(LABELS), "pooling": pooling} | description
        save_adapter(tmp_path / "adapter", unflatten(leaves), method, base, values)
        return tmp_path / "adapter", base

    return save


@pytest.mark.parametrize(
    ("family", "pooling", "bias"),
    [
        ("bert", "cls", (0.5, -1.0, 0.25)),
        ("gpt2", "last", (0.5, -1.0, 0.25)),
        ("t5", "last", (0.5, -1.0, 0.25)),
        # A bias that all classes share changes no probability.
        pytest.param("llama", "last", (0.5, 0.5, 0.5), marks=pytest.mark.soak),
        pytest.param("roberta", "cls", (0.5, -1.0, 0.25), marks=pytest.mark.soak),
    ],
)
def test_a_pipeline_gives_the_probabilities_of_the_adapter(
    adapter, tmp_path, family, pooling, bias
):
    directory, base = adapter(family, pooling, bias)
    exported = export_adapter(directory, base, "merged", tmp_path / "out", TEXTS)
    assert exported.difference < 1e-5
    assert "classifies texts as no, yes, perhaps" in exported.notes[0]
    formulation = HeadFormulation(base, LABELS, pooling)
    params = load_adapter(directory, base).params
    pipeline = transformers.pipeline("text-classification", str(tmp_path / "out"), top_k=None)
    for text in TEXTS:
        batch = unpacked_batch([base.tokenizer(text)["input_ids"]])
        logits = formulation.outputs(params, batch)
        ours = np.asarray(jax.nn.softmax(logits[0])).tolist()
        theirs = {row["label"]: row["score"] for row in pipeline([text])[0]}
        assert theirs == pytest.approx(dict(zip(LABELS, ours, strict=True)), abs=1e-5)


@pytest.mark.parametrize(
    ("family", "pooling", "reason"),
    [
        ("bert", "mean", "it pools by mean, and transformers' class by cls"),
        ("gpt2", "mean", "it pools by mean, and transformers' class by last"),
        ("distilbert", "cls", "transformers' class has relu before its last layer"),
        ("llama", "last", "it has a bias, and transformers' class has none"),
    ],
)
def test_what_the_class_cannot_compute_is_refused_with_a_way_out(
    adapter, tmp_path, family, pooling, reason
):
    directory, base = adapter(family, pooling)
    with pytest.raises(InputError, match=f"{reason}.*--separate_head.*experiments.evaluate"):
        export_adapter(directory, base, "merged", tmp_path / "out", TEXTS)
    assert not (tmp_path / "out").exists()
    exported = export_adapter(
        directory, base, "merged", tmp_path / "out", TEXTS, separate_head=True
    )
    assert "head.safetensors" in exported.notes[0]
