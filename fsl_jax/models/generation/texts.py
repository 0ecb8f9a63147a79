"""The text of a continuation, which depends on the text before it."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fsl_jax.models.generation.prompt_reader import PromptReader

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclasses.dataclass(frozen=True, eq=False)
class ContinuationText:
    """Decode tokens that continue others.

    Some tokenizers drop the first space of a text, and a character may begin in one token and end
    in the next. So the tokens before a continuation are decoded with it.

    Attributes:
      tokenizer: the tokenizer.
      before: the ids of the tokens before it; none if the decoder of an encoder-decoder starts it.
    """

    tokenizer: "PreTrainedTokenizerFast"
    before: tuple[int, ...]

    @classmethod
    def of(cls, reader: PromptReader, prompt_ids: Sequence[int]) -> "ContinuationText":
        """Make the decoder of a prompt's continuations.

        Args:
          reader: the model.
          prompt_ids: the token ids of the prompt.
        """
        before = () if reader.has_encoder else tuple(prompt_ids)
        return cls(reader.pretrained.tokenizer, before)

    def __call__(self, tokens: Sequence[int], skip_special_tokens: bool = False) -> str:
        """Return the text that tokens add.

        Args:
          tokens: the token ids of the continuation, from its start.
          skip_special_tokens: whether to leave out special tokens.
        """
        before = self._readable_before if skip_special_tokens else self._all_before
        whole = self._decode([*self.before, *tokens], skip_special_tokens)
        # Shorter than `before` only if its last character ends in the continuation.
        pairs = enumerate(zip(before, whole, strict=False))
        start = next((index for index, (left, right) in pairs if left != right), len(before))
        return whole[start:]

    @functools.cached_property
    def _all_before(self) -> str:
        return self._decode(self.before, skip_special_tokens=False)

    @functools.cached_property
    def _readable_before(self) -> str:
        return self._decode(self.before, skip_special_tokens=True)

    def _decode(self, tokens: Sequence[int], skip_special_tokens: bool) -> str:
        return self.tokenizer.decode(
            list(tokens),
            skip_special_tokens=skip_special_tokens,
            clean_up_tokenization_spaces=False,
        )
