"""Continue prompts greedily, by sampling, or by beam search: the public function."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp

from fsl_jax.buckets import pad_tokens
from fsl_jax.errors import problems_error
from fsl_jax.models.blocks.row_params import AnyParams, RowParams
from fsl_jax.models.generation.batch_generation import ScoredTokens, continue_batch
from fsl_jax.models.generation.chat import Prompt
from fsl_jax.models.generation.programs import program
from fsl_jax.models.generation.prompt_reader import PromptReader
from fsl_jax.models.generation.prompts import (
    batches,
    length_problems,
    padded_length,
    row_seeds,
    tokenize_prompts,
)
from fsl_jax.models.generation.settings import GenerationSettings
from fsl_jax.models.generation.shared_prefix import SharedPrefix, prefix_length, worth_sharing
from fsl_jax.models.generation.stopping import all_end_tokens, cut_at_stop
from fsl_jax.models.generation.texts import ContinuationText
from fsl_jax.models.outputs import Params
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.seeds import seed_key


@dataclasses.dataclass(frozen=True)
class Continuation:
    """A continuation of a prompt.

    Attributes:
      text: the text without special tokens, cut before the stop string that ended it. For a
        decoder, the prompt and this text together are the text of all tokens, so it begins with the
        space that separates the two.
      score: for greedy and sampled continuations, the sum of the log-probabilities of `tokens`
        after all processing of the logits (transition scores with `normalize_logits=True` in
        transformers). For beams, that sum divided by the number of tokens to the power of the
        length penalty (`sequences_scores` in transformers).
      tokens: all tokens that were scored, including the token or the stop string that ended them.
      ended: "stop" if a token or a string ended it, "length" if `max_new_tokens` did.
    """

    text: str
    score: float
    tokens: tuple[int, ...]
    ended: Literal["stop", "length"]


def generate(
    pretrained: Pretrained,
    prompts: Iterable[Prompt],
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
    skip_blank: bool = False,
    chat: bool = False,
    seed: int = 0,
    batch_size: int = 8,
    share_prefix: bool = False,
    on_batch: Callable[[int], None] = lambda done: None,
) -> list[list[Continuation]]:
    """Continue prompts.

    >>> smollm2 = fsl_jax.load("smollm2-135m")
    >>> [[continuation]] = fsl_jax.models.generate(smollm2, ["The capital of France is"])

    The sampling defaults in a checkpoint's `generation_config.json` are not applied, so a call
    means the same for every model.

    The logits are processed in the order of transformers: repetition penalty, temperature, top-k,
    top-p, min-p.

    Args:
      pretrained: a decoder, or an encoder-decoder.
      prompts: texts; with `chat`, user messages, or lists of messages, each a mapping with `role`
        and `content`. The content is a text, or a list of parts with texts, which are joined.
      params: a tree like `pretrained.params`, for example with an adapter; by default
        `pretrained.params`. To continue each prompt with its own adapter, pass the result of
        `fsl_jax.adapt.row_params`, with one row for each prompt.
      max_new_tokens: the maximum number of tokens of a continuation. Together with the prompt they
        must fit in the model's longest sequence.
      temperature: the divisor of the logits; 0 always takes the likeliest token.
      top_k: when sampling, the number of likeliest tokens to choose among.
      top_p: when sampling, the total probability of the likeliest tokens to choose among.
      min_p: when sampling, the lowest probability of a token, relative to that of the likeliest
        token.
      repetition_penalty: the divisor of the logits of tokens that occurred in the prompt or after
        it; a negative logit is multiplied instead. 1 has no effect. Beam search applies it to
        log-probabilities.
      num_beams: above 1, the number of beams of a beam search, as in transformers with
        `early_stopping=False`. With a temperature it is beam sampling, which draws the tokens that
        continue the beams. Then at least two tokens remain for each beam, and at least one more
        than the number of end tokens.
      length_penalty: for beam search; above 0 it favours long continuations.
      num_return_sequences: the number of continuations of each prompt: the best beams, or samples.
      stop: strings that end a continuation.
      stop_tokens: further tokens that end a continuation: token ids, or tokens as the vocabulary
        spells them. The model's end tokens are always used: those in `generation_config.json`, or
        else the end-of-sequence token in `config.json`, a GGUF file or the tokenizer.
      skip_blank: whether stop strings count only after the first character that is no white
        space, so that an empty line at the beginning does not end a continuation.
      chat: whether to format prompts with the tokenizer's chat template.
      seed: the seed of sampling, at least 0 and below 2**64. Samples depend only on the seed, the
        prompt, and the number of equal prompts before it in the list.
      batch_size: the number of prompts that are continued at a time.
      share_prefix: whether to read the tokens with which all prompts begin only once. That pays if
        they are many, such as those of demonstrations, and changes no continuation. An
        encoder-decoder, and prompts with adapters of their own, are read whole all the same.
      on_batch: called after each batch with the number of prompts that are done.

    Returns:
      For each prompt, in order, `num_return_sequences` continuations, the best beam first. There
      are fewer only if beam sampling left fewer tokens to choose from.

    Raises:
      InputError: the settings, the prompts or the model cannot be used; the error lists all
        problems.
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
        skip_blank,
    )
    params = pretrained.params if params is None else params
    reader = PromptReader.for_model(pretrained, params)
    encoded, end_tokens = _check(reader, params, _listed(prompts), settings)
    keys = _keys(settings, row_seeds(encoded))
    prefix, own, before = None, encoded, 0
    if share_prefix and not isinstance(params, RowParams):
        prefix, own, before = _read_shared(reader, params, encoded, settings)
    results: list[list[Continuation]] = [[] for _ in encoded]
    done = 0
    for batch in batches(reader, own, settings, before):
        rows = continue_batch(reader, params, batch, keys, end_tokens, settings, prefix)
        for index, row in zip(batch.indices, rows, strict=True):
            text = ContinuationText.of(reader, encoded[index])
            results[index] = [_continuation(text, each, settings) for each in row]
        done += len(batch.indices)
        on_batch(done)
    return results


def _read_shared(
    reader: PromptReader,
    params: Params,
    encoded: list[list[int]],
    settings: GenerationSettings,
) -> tuple[SharedPrefix | None, list[list[int]], int]:
    """Read the beginning of all prompts; return it, the prompts without it, and its length."""
    shared = worth_sharing(encoded, has_encoder=reader.has_encoder)
    if not shared:
        return None, encoded, 0
    own = [ids[shared:] for ids in encoded]
    # The padding of the prefix takes no room that the prompts or their continuations need.
    length = padded_length(reader, max(map(len, own)), settings, shared)
    room = reader.max_length - length - settings.max_new_tokens
    ids, mask = pad_tokens([encoded[0][:shared]], prefix_length(shared, room), 0)
    read = program(PromptReader.read_prefix, reader)
    return read(params, jnp.asarray(ids), jnp.asarray(mask)), own, ids.shape[1]


def _listed(prompts: Any) -> Any:
    """Return the prompts as a list, unless they are no series of prompts."""
    listable = isinstance(prompts, Iterable) and not isinstance(prompts, str | bytes | Mapping)
    return list(prompts) if listable else prompts


def _check(
    reader: PromptReader, params: AnyParams, prompts: Any, settings: GenerationSettings
) -> tuple[list[list[int]], list[int]]:
    """Return the prompts' token ids and the end tokens, or raise an error with all problems."""
    pretrained, problems = reader.pretrained, settings.problems()
    if not (pretrained.config.is_decoder or reader.has_encoder):
        problems.append(
            f"{pretrained.name} is an encoder ({pretrained.config.family}): use a decoder"
        )
    if not isinstance(prompts, list):
        kind = "string" if isinstance(prompts, str) else f"value of type {type(prompts).__name__}"
        problems.append(f"prompts is a {kind}; expected a sequence of prompts")
        prompts = []
    elif not prompts:
        problems.append("there are no prompts")
    elif isinstance(params, RowParams) and len(params.index) != len(prompts):
        problems.append(
            f"there are {len(prompts)} prompts, and params are those of {len(params.index)} rows"
        )
    encoded = tokenize_prompts(pretrained, prompts, settings.chat, problems)
    end_tokens = all_end_tokens(pretrained, settings.stop_tokens, problems)
    problems += length_problems(reader, encoded, max(settings.max_new_tokens, 1))
    if problems:
        raise problems_error(
            f"{pretrained.name} cannot generate this. Correct these and try again:", problems
        )
    return encoded, end_tokens


def _keys(settings: GenerationSettings, seeds: Sequence[tuple[int, int]]) -> jax.Array:
    """Make threefry keys for each prompt's rows, `[prompts, copies]`."""
    key = seed_key(settings.seed)
    prompts, occurrences = (jnp.array(column, jnp.uint32) for column in zip(*seeds, strict=True))
    rows = jnp.arange(settings.copies, dtype=jnp.uint32)

    def keys_of(prompt: jax.Array, occurrence: jax.Array) -> jax.Array:
        prompt_key = jax.random.fold_in(jax.random.fold_in(key, prompt), occurrence)
        return jax.vmap(lambda row: jax.random.fold_in(prompt_key, row))(rows)

    return jax.vmap(keys_of)(prompts, occurrences)


def _continuation(
    text: ContinuationText, scored: ScoredTokens, settings: GenerationSettings
) -> Continuation:
    readable = text(scored.tokens, skip_special_tokens=True)
    return Continuation(
        text=cut_at_stop(readable, settings.stop, skip_blank=settings.skip_blank),
        score=scored.score,
        tokens=tuple(scored.tokens),
        ended="stop" if scored.stopped else "length",
    )
