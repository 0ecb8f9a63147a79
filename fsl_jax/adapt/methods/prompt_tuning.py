"""Prompt tuning: vectors before the embedded tokens, or after them.

Lester, Al-Rfou and Constant, 2021, "The Power of Scale for Parameter-Efficient Prompt Tuning",
https://arxiv.org/abs/2104.08691.
"""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsl_jax.adapt.methods.method import ONLY_TRAINS, SIZE, Method
from fsl_jax.adapt.parts.soft_prompt import (
    PROMPT,
    PROMPT_FROZEN,
    SUFFIX,
    SUFFIX_FROZEN,
    with_prompt,
    word_table,
)
from fsl_jax.adapt.tree import Params, key_of
from fsl_jax.errors import InputError, unknown_name
from fsl_jax.models.input_checks import require_rows
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.models.tokenizing import tokenize
from fsl_jax.ranges import in_range

STARTS = ("vocabulary", "random", "text", "labels")
PREFIX_POSITION, SUFFIX_POSITION = "prefix", "suffix"
POSITIONS = (PREFIX_POSITION, SUFFIX_POSITION)


@dataclasses.dataclass(frozen=True)
class PromptTuning(Method):
    """Trains `embeddings/word/prompt [P, D]`, vectors before the tokens of every text.

    In an encoder-decoder they come before the tokens that the encoder reads. The model's output
    covers the tokens alone, so a formulation does not notice the prompt. Prompts of different
    lengths share a program, padded and masked. The prompt takes P of the model's positions, so the
    longest text is P tokens shorter.

    At the position "suffix" it trains `embeddings/word/suffix [P, D]`, which formulations and
    `generate` put after a text. If you call `apply`, add it with `fsl_jax.models.append_suffix`. A
    decoder's tokens see no later tokens. So if nothing else is trained in the model, the keys and
    values of a text are computed once, without dropout, and a training step runs the P vectors
    alone. Hu et al. 2021 (https://arxiv.org/abs/2106.09685) call vectors after a prompt infixes.
    Activated LoRA (Greenewald et al. 2025, https://arxiv.org/abs/2504.12397) also computes the
    frozen part once and shares it.

    The paper trains T5 with a learning rate of 0.3 (Adafactor, without parameter scaling). The
    elements of T5's word embedding are 10 to 100 times as large as those of BERT or Llama. With
    AdamW and embeddings like BERT's, the authors of P-tuning v2 used up to 1e-2, over thousands of
    steps. The default learning rates lie between the two. In the paper, more than 20 vectors gain
    little. A model that scales embedded words, as Gemma does, scales the prompt too, so the same
    learning rate moves it further.

    Attributes:
      length: P, the number of vectors.
      start: the initial values of the vectors. "vocabulary" draws words from the whole vocabulary.
        "random" draws normal numbers with the standard deviation of the word embedding. "text"
        takes the tokens of `text`, repeated if they are fewer than P, from its first token on or,
        in a suffix, up to its last token. "labels" takes one label word for each vector (the mean
        of its tokens), and draws the rest from the vocabulary.
      text: the text of the start "text".
      tokens: token ids for each vector, found by `resolve` for "text" and "labels", or chosen by
        the user. The first vectors, or in a suffix the last ones, each start as the mean of their
        tokens; the rest are drawn from the vocabulary.
      position: "prefix" for vectors before the tokens, "suffix" for vectors after them, which only
        decoders support.
    """

    length: int = in_range(20, SIZE)
    start: str = dataclasses.field(default="vocabulary", metadata=ONLY_TRAINS)
    text: str = dataclasses.field(default="", metadata=ONLY_TRAINS)
    tokens: tuple[tuple[int, ...], ...] = dataclasses.field(default=(), metadata=ONLY_TRAINS)
    position: str = PREFIX_POSITION
    name: ClassVar[str] = "prompt_tuning"
    paper: ClassVar[str] = "Lester et al. 2021, https://arxiv.org/abs/2104.08691"
    learning_rates: ClassVar[tuple[float, ...]] = (1e-3, 1e-2, 1e-1)

    def __post_init__(self):
        super().__post_init__()
        if self.start not in STARTS:
            raise unknown_name("start of prompt_tuning", self.start, STARTS)
        if self.position not in POSITIONS:
            raise unknown_name("position of prompt_tuning", self.position, POSITIONS)
        if bool(self.text) != (self.start == "text"):
            raise InputError(
                f"prompt_tuning has start={self.start!r} and text={self.text!r}: the start 'text' "
                "needs a text, and the others have none"
            )
        if not all(isinstance(each, tuple) and each and min(each) >= 0 for each in self.tokens):
            raise InputError(
                f"prompt_tuning has tokens={self.tokens!r}: expected for each vector the tokens "
                "whose mean it begins as, such as ((5,), (6, 7))"
            )
        if len(self.tokens) > self.length:
            raise InputError(
                f"prompt_tuning has tokens for {len(self.tokens)} vectors and a length of "
                f"{self.length}: choose a length of at least {len(self.tokens)}"
            )

    @property
    def rules(self) -> tuple[str, ...]:  # type: ignore[override]
        """The rule for the vectors."""
        return (f"^{SUFFIX if self._is_suffix else PROMPT}$",)

    @property
    def frozen_rules(self) -> tuple[str, ...]:  # type: ignore[override]
        """The rule for the mask of the vectors."""
        return (SUFFIX_FROZEN if self._is_suffix else PROMPT_FROZEN,)

    @property
    def structure(self) -> tuple[Any, ...]:
        """The settings that stacked runs share."""
        return (self.position,)

    @property
    def positions(self) -> int:
        """The number of the model's positions that the prompt takes."""
        return self.length

    @property
    def _is_suffix(self) -> bool:
        return self.position == SUFFIX_POSITION

    def resolve(self, pretrained: Pretrained, words: Sequence[str]) -> "PromptTuning":
        """Look up the tokens of the text or of the label words."""
        if self.tokens or self.start not in ("text", "labels"):
            return self

        def read(text: str) -> list[int]:
            ids = tokenize(pretrained.tokenizer, text, add_special_tokens=False)["input_ids"]
            rows = pretrained.config.vocab_size
            require_rows(pretrained.name, pretrained.tokenizer, rows, [text], [ids])
            return ids

        if self.start == "labels":
            tokens = [tuple(_after_a_colon(read, word.strip())) for word in words]
        else:
            tokens = self._repeated([(token,) for token in read(self.text)])
        if not tokens or not all(tokens):
            raise InputError(
                f"prompt_tuning(start={self.start!r}): the tokenizer of {pretrained.name} has no "
                f"tokens for {self.text if self.start == 'text' else list(words)!r}"
            )
        return dataclasses.replace(self, tokens=tuple(tokens[: self.length]))

    def _repeated(self, tokens: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        # A suffix ends with the end of the text, even if the text is longer than P tokens.
        ordered = tokens[::-1] if self._is_suffix else tokens
        repeated = list(itertools.islice(itertools.cycle(ordered), self.length))
        return repeated[::-1] if self._is_suffix else repeated

    def to_save(self, leaves: Params, base: Params) -> tuple[Method, Params]:
        """Return the method without its start settings, which a trained prompt does not need."""
        return PromptTuning(self.length, position=self.position), leaves

    def extend(self, params: Params, key: jax.Array) -> Params:
        """Add `prompt [P, D]` and a `prompt_mask [P]` of ones to the word embedding.

        At the position "suffix" they are `suffix` and `suffix_mask`.
        """
        if self.start in ("text", "labels") and not self.tokens:
            raise InputError(
                f"prompt_tuning(start={self.start!r}) needs a tokenizer: attach what its "
                "`resolve(pretrained, words)` returns, or give tokens"
            )
        leaf = "suffix" if self._is_suffix else "prompt"
        table = word_table(params, self.name, leaf)
        return with_prompt(params, self._start(table, key_of(key, PROMPT)), leaf)

    def _start(self, table: Float[Array, "V D"], key: jax.Array) -> Float[Array, "P D"]:
        shape = (self.length, table.shape[1])
        if self.start == "random" and not self.tokens:
            deviation = jnp.std(table.astype(jnp.float32))
            return deviation * jax.random.normal(key, shape, jnp.float32)
        drawn = table[jax.random.randint(key, shape[:1], 0, table.shape[0])].astype(jnp.float32)
        if not self.tokens:
            return drawn
        if (largest := max(map(max, self.tokens))) >= len(table):
            raise InputError(
                f"prompt_tuning has the token {largest}, and the model has {len(table)}, numbered "
                "from 0"
            )
        means = [jnp.mean(table[jnp.array(each)].astype(jnp.float32), 0) for each in self.tokens]
        first = self.length - len(means) if self._is_suffix else 0
        return drawn.at[first : first + len(means)].set(jnp.stack(means))


def _after_a_colon(read: Callable[[str], list[int]], word: str) -> list[int]:
    """Return the tokens of a word inside a text, as some tokenizers add a space at its start."""
    before, whole = read(":"), read(f": {word}")
    return whole[len(before) :] if whole[: len(before)] == before else read(f" {word}")
