"""Tiny models, a tokenizer and a data set for the tests of several layers of the code base."""

import jax
import numpy as np
import pytest


@pytest.fixture(scope="session")
def tiny_dataset():
    """Texts of three classes, of which each has favourite words; some texts are long."""
    from fsl_jax.data import text_example
    from fsl_jax.tasks import make_dataset

    random = np.random.default_rng(0)
    examples = [
        text_example(" ".join(f"w{random.integers(12) + 4 * index}" for _ in range(length)), label)
        for index, label in enumerate(("east", "north", "west"))
        for length in (4, 5, 6, 7, 8, 9, 10, 20)
    ]
    return make_dataset("tiny", examples)


@pytest.fixture(scope="session")
def tiny_tokenizer():
    """One token a word; the label words of `tiny_formulations` are among them."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "Topic", ":", "east", "north", "west", "far", "very", "."]
    words += [f"w{number}" for number in range(64 - len(words))]
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")


@pytest.fixture(scope="session")
def build_tiny():
    """Makes a model of a config, every leaf of which is random, biases and norms too."""
    from fsl_jax.adapt.tree import unflatten
    from fsl_jax.models.families.registry import module_of, parameter_shapes
    from fsl_jax.models.pretrained import Pretrained

    def build(config, tokenizer=None, seed=0, scale=0.2):
        draw, center = np.random.default_rng(seed).normal, 1 - getattr(config, "norm_offset", 0)
        # Drawn and cast by NumPy: JAX would compile a program for each shape.
        leaves = {
            path: draw(size=shape, scale=scale) + center * path.endswith("/scale")
            for path, shape in parameter_shapes(config).items()
        }
        params = unflatten(
            {path: jax.device_put(leaf.astype(np.float32)) for path, leaf in leaves.items()}
        )
        name = f"tiny-{config.family}"
        return Pretrained(name, config, module_of(config), params, tokenizer, "ab" * 32)

    return build


@pytest.fixture(scope="session")
def tiny_bases(build_tiny, tiny_tokenizer):
    """A tiny model of each kind of layers, every leaf of which is random.

    The one of Gemma 2 has a sliding window on its first layer.
    """
    from fsl_jax.models.families.bert.model import BertConfig
    from fsl_jax.models.families.gpt2.model import GPT2Config
    from fsl_jax.models.families.llama.model import LlamaConfig
    from fsl_jax.models.families.t5.config import T5Config

    sizes = {"vocab_size": 64, "hidden_size": 16, "mlp_size": 40, "num_layers": 2, "num_heads": 4}
    configs = [
        BertConfig(**sizes, max_length=32, has_pooler=True),
        LlamaConfig(**sizes, max_length=32, num_kv_heads=2, head_dim=4),
        GPT2Config(**sizes, max_length=32),
        LlamaConfig(
            **sizes,
            max_length=32,
            num_kv_heads=2,
            head_dim=4,
            window=6,
            sliding=(True, False),
            post_norms=True,
            norm_offset=1.0,
            activation="tanh_gelu",
            embedding_scale=4.0,
            score_cap=20.0,
            logit_cap=10.0,
            family="gemma2",
        ),
        T5Config(
            **sizes,
            max_length=32,
            num_decoder_layers=3,
            head_dim=4,
            feed_forward="gated-gelu",
            num_buckets=8,
            max_distance=16,
        ),
    ]

    return {config.family: build_tiny(config, tiny_tokenizer, 1, 0.2) for config in configs}


@pytest.fixture(scope="session")
def tiny_formulations(tiny_bases, tiny_dataset):
    """Every way of asking a tiny model; label words of one token, or of one to three."""
    from fsl_jax.formulations import HeadFormulation, Template, TemplateFormulation, Verbalizer

    labels = tiny_dataset.labels
    longer = {"east": ["far east", "east"], "west": "very far west"}

    def template(words, family="llama"):
        verbalizer = Verbalizer.from_mapping(labels, words)
        return TemplateFormulation(
            tiny_bases[family], labels, Template("{text} . Topic :"), verbalizer
        )

    return {
        "bert-head": HeadFormulation(tiny_bases["bert"], labels),
        "llama-head": HeadFormulation(tiny_bases["llama"], labels),
        "llama-template": template({}),
        "llama-words": template(longer),
        "gpt2-template": template({}, "gpt2"),
        "gemma2-template": template({}, "gemma2"),
        "t5-head": HeadFormulation(tiny_bases["t5"], labels),
        "t5-words": template(longer | {"north": "very north"}, "t5"),
    }


@pytest.fixture(scope="session")
def writers(tiny_bases, tiny_tokenizer):
    """Asks tiny models to write an answer, which their tokenizer can end."""
    import dataclasses

    from transformers import PreTrainedTokenizerFast

    from fsl_jax.formulations import Template
    from fsl_jax.formulations.writing.written import WrittenFormulation
    from fsl_jax.tasks.registry import find_task

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tiny_tokenizer.backend_tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        eos_token="w53",
    )
    return {
        family: WrittenFormulation(
            dataclasses.replace(tiny_bases[family], tokenizer=tokenizer),
            find_task("classification"),
            Template("{text} Topic :"),
            ("east", "far east", "north"),
            max_answer=8,
        )
        for family in ("llama", "gpt2", "t5")
    }
