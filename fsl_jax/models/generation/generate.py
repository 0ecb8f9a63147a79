"""Continuing prompts: greedily, by sampling, or by beam search."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import jax
import jax.numpy as jnp

from fsl_jax.errors import problems_error
from fsl_jax.models.blocks.row_params import AnyParams, RowParams
from fsl_jax.models.generation.continuing import Found, continue_batch
from fsl_jax.models.generation.prompts import (
    Prompt,
    batches,
    length_problems,
    row_seeds,
    tokenize,
)
from fsl_jax.models.generation.reader import Reader
from fsl_jax.models.generation.settings import GenerationSettings
from fsl_jax.models.generation.stopping import cut, end_tokens
from fsl_jax.models.pretrained import Pretrained

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclasses.dataclass(frozen=True)
class Continuation:
    """What follows a prompt.

    Attributes:
      text: without special tokens, and without the stop string that ended it and what follows.
      score: of greedy and sampled continuations the sum of the log-probabilities of `tokens` after
        all processing of the logits, which transformers calls transition scores with
        `normalize_logits=True`; of beams that sum, divided by the number of tokens to the power of
        the length penalty, which transformers calls `sequences_scores`.
      tokens: all tokens that were scored; a token or a stop string that ended them is among them.
      ended: "stop" where a token or a string ended it, "length" where `max_new_tokens` did.
    """

    text: str
    score: float
    tokens: tuple[int, ...]
    ended: Literal["stop", "length"]


def generate(
    pretrained: Pretrained,
    prompts: Sequence[Prompt],
    *,
    params: AnyParams | None = None,
    max_new_tokens: int = 64,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    num_beams: int = 1,
    length_penalty: float = 1.0,
    num_return_sequences: int = 1,
    stop: Sequence[str] = (),
    stop_tokens: Sequence[int | str] = (),
    chat: bool = False,
    seed: int = 0,
    batch_size: int = 8,
) -> list[list[Continuation]]:
    """Continues prompts.

    >>> smollm2 = fsl_jax.load("smollm2-135m")
    >>> [[found]] = fsl_jax.models.generate(smollm2, ["The capital of France is"])

    The settings are those given here: defaults of sampling that a checkpoint's
    `generation_config.json` has are not applied, so that a call means the same for every model.

    What is computed for the logits comes in the order of transformers: repetition penalty,
    temperature, top-k, top-p, min-p.

    Args:
      pretrained: a decoder, or an encoder-decoder.
      prompts: texts; with `chat` texts that a user says, or lists of messages, each a mapping with
        `role` and `content`.
      params: a tree like `pretrained.params`, such as an adapter's; those by default. Or, from
        `fsl_jax.adapt.row_params`, those of as many rows as there are prompts, so that each prompt
        is continued with its own adapter.
      max_new_tokens: tokens of a continuation at most. With the prompt they have to stay within the
        model's longest sequence.
      temperature: what logits are divided by; 0 takes the likeliest token.
      top_k: when sampling, choose among so many of the likeliest tokens.
      top_p: when sampling, choose among the likeliest tokens that together are so probable.
      min_p: when sampling, choose among tokens so many times as probable as the likeliest.
      repetition_penalty: what logits of tokens are divided by (multiplied where they are negative)
        that stand in the prompt or before; 1 has no effect. Beam search applies it to
        log-probabilities.
      num_beams: above 1, beam search with so many, as in transformers with `early_stopping=False`;
        with a temperature, beam sampling, which draws what continues the beams. Of each beam then
        at least two tokens remain, and one more than there are tokens that end it.
      length_penalty: of beam search; above 0 it favours long continuations.
      num_return_sequences: continuations of each prompt: the best beams, or as many samples.
      stop: strings that end a continuation.
      stop_tokens: tokens that end a continuation beside the model's own: numbers, or tokens as the
        vocabulary has them. The model's own are all that `generation_config.json` names, or else
        `config.json`, a GGUF file or the tokenizer, as its end of sequence.
      chat: whether prompts are put into the tokenizer's chat template.
      seed: of sampling. Samples depend on the seed, on the prompt, on how often the same prompt
        stands before it in the list, and on no other prompt.
      batch_size: prompts that are continued at a time.

    Returns:
      For each prompt, in order, `num_return_sequences` continuations, the best beam first. There
      are fewer only where beam sampling left fewer tokens to choose from.

    Raises:
      InputError: the settings, the prompts or the model cannot be used; it lists all that is wrong.
    """
    settings = GenerationSettings(
        max_new_tokens,
        temperature,
        top_k,
        top_p,
        min_p,
        repetition_penalty,
        num_beams,
        length_penalty,
        num_return_sequences,
        stop,
        stop_tokens,
        chat,
        seed,
        batch_size,
    )
    params = pretrained.params if params is None else params
    reader = Reader.of(pretrained, params)
    encoded, ends = _check(reader, params, prompts, settings)
    keys = _keys(settings, row_seeds(encoded))
    results: list[list[Continuation]] = [[] for _ in prompts]
    for batch in batches(reader, encoded, settings):
        rows = continue_batch(reader, params, batch, keys, ends, settings)
        for index, found in zip(batch.indices, rows, strict=True):
            results[index] = [_describe(pretrained.tokenizer, each, stop) for each in found]
    return results


def _check(
    reader: Reader, params: AnyParams, prompts: Sequence[Prompt], settings: GenerationSettings
) -> tuple[list[list[int]], list[int]]:
    """Tokens of the prompts and those that end them, or an error with all that is wrong."""
    pretrained, found = reader.pretrained, settings.problems()
    if not (pretrained.config.is_decoder or reader.has_encoder):
        found.append(f"{pretrained.name} is an encoder ({pretrained.config.family}): use a decoder")
    if isinstance(prompts, str):
        found.append("prompts is a string; expected a sequence of prompts")
        prompts = []
    elif not prompts:
        found.append("there are no prompts")
    elif isinstance(params, RowParams) and len(params.index) != len(prompts):
        found.append(
            f"there are {len(prompts)} prompts, and params are those of {len(params.index)} rows"
        )
    encoded = tokenize(pretrained, prompts, settings.chat, found)
    ends = end_tokens(pretrained, settings.stop_tokens, found)
    found += length_problems(reader, encoded, max(settings.max_new_tokens, 1))
    if found:
        raise problems_error(
            f"{pretrained.name} cannot generate this. Mend these and try again:", found
        )
    return encoded, ends


def _keys(settings: GenerationSettings, seeds: Sequence[tuple[int, int]]) -> jax.Array:
    """Threefry keys of each prompt's rows, `[prompts, copies]`."""
    key = jax.random.key(settings.seed, impl="threefry2x32")
    prompts, occurrences = (jnp.array(column, jnp.uint32) for column in zip(*seeds, strict=True))
    rows = jnp.arange(settings.copies, dtype=jnp.uint32)

    def keys_of(prompt: jax.Array, occurrence: jax.Array) -> jax.Array:
        own = jax.random.fold_in(jax.random.fold_in(key, prompt), occurrence)
        return jax.vmap(lambda row: jax.random.fold_in(own, row))(rows)

    return jax.vmap(keys_of)(prompts, occurrences)


def _describe(
    tokenizer: "PreTrainedTokenizerFast", found: Found, stop: Sequence[str]
) -> Continuation:
    text = tokenizer.decode(
        found.tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return Continuation(
        text=cut(text, stop),
        score=found.score,
        tokens=tuple(found.tokens),
        ended="stop" if found.stopped else "length",
    )
