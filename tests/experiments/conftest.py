"""Tiny models and data in directories, as a user would have them."""

import json
import os
import pathlib
import random
import subprocess
import sys

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from warm_scripts import WarmScript, finish

WORDS = {
    "sport": "match goal team striker coach cup league win score player".split(),
    "money": "market bank shares profit price trade euro sales growth firm".split(),
    "science": "study virus planet cell atom lab energy space data robot".split(),
}
COMMON = "the a of in to for and on with new after over big old".split()


@pytest.fixture(scope="session")
def data_directory(tmp_path_factory) -> pathlib.Path:
    """Three easy classes: a text has words of its class among common ones."""
    directory = tmp_path_factory.mktemp("data")
    generator = random.Random(0)
    for part, count in (("train", 30), ("test", 10)):
        rows = []
        for label, words in WORDS.items():
            for _ in range(count):
                text = generator.choices(words, k=3) + generator.choices(COMMON, k=4)
                generator.shuffle(text)
                rows.append({"text": " ".join(text), "label": label})
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (directory / f"{part}.jsonl").write_text(lines)
    return directory


@pytest.fixture(scope="session")
def tiny_tokenizer() -> transformers.PreTrainedTokenizerFast:
    """Whole words, with the special tokens of both families."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "Topic", ":", *COMMON]
    words += [word for of_class in WORDS.values() for word in of_class] + list(WORDS)
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=64
    )


def _save(model: torch.nn.Module, tokenizer, directory: pathlib.Path) -> pathlib.Path:
    with torch.no_grad():
        for parameter in model.parameters():
            # Wide enough that random layers tell words apart.
            parameter.mul_(4.0 if parameter.ndim > 1 else 1.0)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def bert_directory(tmp_path_factory, tiny_tokenizer) -> pathlib.Path:
    """A random BERT of two layers."""
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(tiny_tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=64,
    )
    return _save(transformers.BertModel(config), tiny_tokenizer, tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="session")
def llama_directory(tmp_path_factory, tiny_tokenizer) -> pathlib.Path:
    """A random Llama of two layers."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(tiny_tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=48,
        max_position_embeddings=256,
        tie_word_embeddings=True,
    )
    model = transformers.LlamaForCausalLM(config)
    return _save(model, tiny_tokenizer, tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="session")
def script_environment(tmp_path_factory, quick_flags):
    """Makes the environment of a script: a cache for this session, and a number of devices."""
    directory = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        # Each worker has a directory in that of the session: what one compiles serves the other.
        directory = directory.parent

    def make(devices: int = 1) -> dict[str, str]:
        device_count = f"--xla_force_host_platform_device_count={devices}"
        return {
            **os.environ,
            "FSL_JAX_CACHE": str(directory / "scripts_cache"),
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": f"{device_count} {quick_flags}",
        }

    return make


@pytest.fixture(scope="session")
def run_script(script_environment):
    """Starts a script as a user would, in a process of its own."""

    def start(script: str, *flags: str, devices: int = 1) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", f"experiments.{script}", *flags],
            env=script_environment(devices),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture(scope="session")
def run_warm(script_environment, tmp_path_factory):
    """Starts a script in a process that has its imports already, which saves seconds.

    One test of each script starts it with `run_script` instead.
    """

    def start(script: str, *flags: str) -> WarmScript:
        return WarmScript(script, flags, script_environment(), tmp_path_factory.mktemp(script))

    return start


@pytest.fixture(scope="session")
def run_to_end(run_warm):
    """Runs a script to its end: status, output, errors."""
    return lambda script, *flags: finish(run_warm(script, *flags))


@pytest.fixture(scope="session")
def run_cold(run_script):
    """The same in a process of its own."""
    return lambda script, *flags: finish(run_script(script, *flags))
