"""Tiny models of each family, whose tokenizer has the words of the samples."""

import functools

import jax
import jax.numpy as jnp
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.trainers import WordLevelTrainer
from transformers import PreTrainedTokenizerFast

from benchmarks.tasks.rows import sample_texts
from benchmarks.tiny_configs import tiny_configs
from fsl_jax.adapt.tree import unflatten
from fsl_jax.models.families.registry import Config, module_of, parameter_shapes
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.studies.planning.templates import TEMPLATES

FAMILIES = ("BERT", "GPT-2", "Llama", "T5")
MAX_LENGTH = 96
SPECIAL_TOKENS = {"pad_token": "[PAD]", "unk_token": "[UNK]", "eos_token": "[EOS]"}


@functools.cache
def tokenizer() -> PreTrainedTokenizerFast:
    """Make a tokenizer with a token for each word of the samples and of the templates."""
    made = Tokenizer(WordLevel(unk_token=SPECIAL_TOKENS["unk_token"]))
    made.pre_tokenizer = Whitespace()
    special = list(SPECIAL_TOKENS.values())
    trainer = WordLevelTrainer(special_tokens=special, show_progress=False)
    made.train_from_iterator([*sample_texts(), *TEMPLATES.values()], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, **SPECIAL_TOKENS)


def configs() -> dict[str, Config]:
    """Make the config of each family."""
    made = tiny_configs(len(tokenizer()), MAX_LENGTH)
    return {family: made[family] for family in FAMILIES}


@functools.cache
def models() -> dict[str, Pretrained]:
    """Make the model of each family, which has the shapes of its parameters instead of arrays."""

    def model(family: str, config: Config) -> Pretrained:
        shapes = parameter_shapes(config)
        leaves = {path: jax.ShapeDtypeStruct(shape, jnp.float32) for path, shape in shapes.items()}
        return Pretrained(family, config, module_of(config), unflatten(leaves), tokenizer(), "")

    return {family: model(family, config) for family, config in configs().items()}
