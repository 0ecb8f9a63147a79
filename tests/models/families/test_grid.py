"""Checkpoints of every family and head, and all that their files may say about tied weights.

Each one is saved by transformers, changed, and loaded by transformers and here. Logits agree, and
those of the model that is exported again. Each batch has a full row and rows with padding on the
right, on the left and inside. The number of the padding token, the special tokens and the number of
tokens in the tokenizer are drawn.
"""

import itertools
import json

import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import fsl_jax
from fsl_jax.models import export

VOCABULARY, LENGTH = 40, 12
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 24,
    "num_labels": 3,
}
DECODER = SIZES | {"num_key_value_heads": 2, "head_dim": 8}
T5 = {
    "vocab_size": VOCABULARY,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 4,
    "decoder_start_token_id": 0,
    "num_labels": 3,
}
DISTILBERT = {
    "vocab_size": VOCABULARY,
    "dim": 32,
    "hidden_dim": 48,
    "n_layers": 2,
    "n_heads": 4,
    "max_position_embeddings": 24,
    "num_labels": 3,
}
FAMILIES = {
    "bert": ("Bert", SIZES),
    "roberta": ("Roberta", SIZES),
    "xlm-roberta": ("XLMRoberta", SIZES),
    "distilbert": ("DistilBert", DISTILBERT),
    "gpt2": ("GPT2", SIZES),
    "llama": ("Llama", DECODER),
    "mistral": ("Mistral", DECODER | {"sliding_window": 5}),
    "qwen2": ("Qwen2", DECODER),
    "qwen3": ("Qwen3", DECODER),
    "gemma2": ("Gemma2", DECODER | {"sliding_window": 5}),
    "gemma3_text": ("Gemma3", DECODER | {"sliding_window": 5}),
    "t5": ("T5", T5),
    "mt5": ("MT5", T5),
}
WINDOWED = ("mistral", "gemma2", "gemma3_text")
ENCODERS = ("bert", "roberta", "xlm-roberta", "distilbert")
ENCODER_DECODERS = ("t5", "mt5")
TIES = ("tied", "copied", "renamed", "broken", "untied")
"""The weights are stored once; twice; under the other name; twice and differ; and no flag."""

WORDS = {
    "bert": ("bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"),
    "roberta": ("roberta.embeddings.word_embeddings.weight", "lm_head.decoder.weight"),
    "xlm-roberta": ("roberta.embeddings.word_embeddings.weight", "lm_head.decoder.weight"),
    "distilbert": ("distilbert.embeddings.word_embeddings.weight", "vocab_projector.weight"),
    "gpt2": ("transformer.wte.weight", "lm_head.weight"),
    "t5": ("shared.weight", "lm_head.weight"),
    "mt5": ("shared.weight", "lm_head.weight"),
}
DECODER_WORDS = ("model.embed_tokens.weight", "lm_head.weight")
BIASES = {
    "bert": ("cls.predictions.bias", "cls.predictions.decoder.bias"),
    "roberta": ("lm_head.bias", "lm_head.decoder.bias"),
    "xlm-roberta": ("lm_head.bias", "lm_head.decoder.bias"),
}


def endings(family):
    """The endings of architectures by the head that we ask for."""
    if family in ENCODERS:
        language_model = {"masked_lm": "ForMaskedLM"}
    elif family in ENCODER_DECODERS:
        return {None: "ForConditionalGeneration", "token_classification": "ForTokenClassification"}
    else:
        language_model = {None: "LMHeadModel" if family == "gpt2" else "ForCausalLM"}
    if family == "gemma3_text":
        return language_model | {"sequence_classification": "TextForSequenceClassification"}
    return language_model | {
        "sequence_classification": "ForSequenceClassification",
        "token_classification": "ForTokenClassification",
    }


def cases():
    """All combinations of a family, a head, ties of embeddings, and ties of biases."""
    for family in FAMILIES:
        for head in endings(family):
            if head not in (None, "masked_lm"):
                yield family, head, "tied", "tied"
                continue
            biases = TIES[:4] if family in BIASES else ("tied",)
            for words, bias in itertools.product(TIES, biases):
                # Without the flag, biases are not tied either.
                if words != "untied" or bias == "tied":
                    yield family, head, words, bias


CASES = list(cases())
# One family of each kind of checkpoint, with what transformers takes most care of.
QUICK = [
    ("bert", "masked_lm", "broken", "renamed"),
    ("xlm-roberta", "masked_lm", "renamed", "broken"),
    ("distilbert", "masked_lm", "untied", "tied"),
    ("gpt2", None, "broken", "tied"),
    ("gemma2", None, "copied", "tied"),
    ("t5", None, "broken", "tied"),
]


class Grid:
    """Makes checkpoints, and compares both sides."""

    def __init__(self, directory, randomise):
        self.directory, self.randomise = directory, randomise

    def save(self, family, head, words, bias, draw):
        """Saves a checkpoint with what `draw` decides; returns the class that loads it."""
        stem, sizes = FAMILIES[family]
        kind = getattr(transformers, stem + endings(family)[head])
        roles = draw.permutation(6)
        options = {"pad_token_id": int(roles[0]), "eos_token_id": int(roles[draw.integers(2)])}
        if family in ("roberta", "xlm-roberta"):
            options["pad_token_id"] = 1
        if family not in ENCODER_DECODERS:
            options["tie_word_embeddings"] = words != "untied"
        with torch.random.fork_rng():
            model = self.randomise(kind(kind.config_class(**sizes | options)))
        model.save_pretrained(self.directory)
        tensors = load_file(self.directory / "model.safetensors")
        change(tensors, WORDS.get(family, DECODER_WORDS), words)
        change(tensors, BIASES.get(family, ("", "")), bias)
        save_file(tensors, self.directory / "model.safetensors", metadata={"format": "pt"})
        path = self.directory / "config.json"
        values = json.loads(path.read_text()) | {"model_type": family}
        path.write_text(json.dumps(values))
        tokenizer(VOCABULARY + int(draw.integers(-3, 4)), options).save_pretrained(self.directory)
        return kind

    def check(self, family, head, words, bias):
        """Compares logits; returns the largest difference over the largest logit."""
        draw = np.random.default_rng([CASES.index((family, head, words, bias))])
        kind = self.save(family, head, words, bias, draw)
        batch = tokens(draw, family, head)
        expected = peer(kind, self.directory, *batch, family)
        pretrained = fsl_jax.load(str(self.directory), head=head)
        exported = export(pretrained, self.directory / "exported")
        real = batch[1] if expected.ndim == 3 else np.ones(len(expected), bool)
        found = [ours(pretrained, *batch), peer(kind, exported, *batch, family)]
        return max(float(np.abs(array - expected)[real].max()) for array in found) / float(
            np.abs(expected[real]).max()
        )


def change(tensors, names, ties):
    """Changes the tensors of a checkpoint, so that a pair of names is stored as `ties` says."""
    source, copy = names
    if source not in tensors or ties in ("tied", "untied"):
        return
    if ties == "renamed":
        tensors[copy] = tensors.pop(source)
    elif ties == "copied":
        tensors[copy] = tensors[source].clone()
    else:
        generator = torch.Generator().manual_seed(1)
        tensors[copy] = torch.randn(tensors[source].shape, generator=generator) * 0.3


def tokenizer(size, options):
    words = ["[UNK]", *(f"w{number}" for number in range(1, size))]
    numbered = tokenizers_of(words)
    names = {
        name.removesuffix("_id"): words[number]
        for name, number in options.items()
        if name.endswith("_id")
    }
    roles = {"cls_token": words[7], "mask_token": words[8], **names}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=numbered, **roles)


def tokenizers_of(words):
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    return Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, "[UNK]"))


def tokens(draw, family, head):
    """A full row, and rows with padding on the right, inside, and on the left.

    A window is measured in positions here, and in columns by transformers, so a model with windows
    gets no row with padding inside. An encoder's classifier reads the first token here, and the
    first column in transformers, so it gets no row with padding on the left.
    """
    positions = np.arange(LENGTH)
    inside = (positions < 4) | (positions > 6)
    rows = [positions >= 0, positions < 7]
    rows += [] if family in WINDOWED else [inside]
    rows += [] if family in ENCODERS and head == "sequence_classification" else [positions >= 5]
    mask = np.stack(rows)
    ids = draw.integers(9, VOCABULARY, mask.shape)
    return np.where(mask, ids, 0).astype(np.int32), mask


def peer(kind, directory, ids, mask, family):
    """The logits of transformers."""
    model = kind.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()
    pad = model.config.pad_token_id
    ids = torch.tensor(np.where(mask, ids, pad).astype(np.int64))
    options = {"input_ids": ids, "attention_mask": torch.tensor(mask.astype(np.int64))}
    if family in ENCODER_DECODERS:
        if kind.__name__.endswith("Generation"):
            options |= {
                "decoder_input_ids": ids,
                "decoder_attention_mask": options["attention_mask"],
            }
    elif family != "distilbert":
        first = pad + 1 if "oberta" in family else 0
        counted = np.maximum(np.cumsum(mask, axis=1) - 1, 0) + first
        options["position_ids"] = torch.tensor(counted)
    with torch.no_grad():
        return model(**options).logits.numpy()


def ours(pretrained, ids, mask):
    """Our logits, for all tokens and for those that are asked for."""
    options = {}
    if pretrained.config.family in ENCODER_DECODERS and pretrained.head is None:
        options = {"decoder_input_ids": ids, "decoder_attention_mask": mask}
    # DistilBERT takes no positions in transformers, which counts the columns.
    if pretrained.config.family == "distilbert":
        options["position_ids"] = np.broadcast_to(np.arange(LENGTH, dtype=np.int32), ids.shape)
    output = pretrained.apply(pretrained.params, ids, mask, **options)
    if pretrained.head in (None, "masked_lm"):
        chosen = jnp.array([3, 17, 39])
        some = pretrained.unembed(pretrained.params, output.hidden, chosen)
        np.testing.assert_allclose(some, output.logits[..., chosen], atol=1e-4)
    return np.asarray(output.logits)


@pytest.fixture
def grid(tmp_path, torch_reference):
    """A directory to make checkpoints in."""
    return Grid(tmp_path, torch_reference.randomise)


@pytest.mark.parametrize("case", QUICK, ids=str)
def test_some_checkpoints_give_the_logits_of_transformers(grid, case):
    assert grid.check(*case) < 1e-5


@pytest.mark.soak
@pytest.mark.parametrize("case", CASES, ids=str)
def test_all_checkpoints_give_the_logits_of_transformers(grid, case):
    assert grid.check(*case) < 1e-5
