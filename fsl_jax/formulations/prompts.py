"""Tokenise prompts; if one is too long for the model, only its longest field is cut."""

from collections.abc import Mapping
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from fsl_jax.errors import InputError
from fsl_jax.formulations.template import Template
from fsl_jax.models.tokenizing import prompt_tokens, tokenize


class Prompt(NamedTuple):
    """A prompt that fits.

    Attributes:
      ids: its token ids.
      text: its text, of which they are the tokens.
      is_cut: True if it has less text than the example.
    """

    ids: list[int]
    text: str
    is_cut: bool


def fit_prompt(
    tokenizer: PreTrainedTokenizerBase,
    template: Template,
    parts: Mapping[str, str],
    limit: int,
    context: str = "",
    after: str = "",
    *,
    continues: bool = True,
) -> Prompt:
    """Tokenise a prompt; if it is longer than the limit, cut the end of its longest field.

    The words of the template and the other fields are never cut.

    Args:
      tokenizer: the model's tokenizer.
      template: the template.
      parts: the texts of the example by name.
      limit: the largest number of tokens.
      context: text before the prompt, such as demonstrations; it is never cut.
      after: text after the template, such as a new line; it is never cut.
      continues: as in `prompt_tokens`.

    Returns:
      The prompt.

    Raises:
      InputError: all but the longest field is longer than the limit, or the template has a field
        that the example lacks.
    """
    texts = template.texts(parts)
    longest = max(texts, key=lambda field: len(texts[field]))

    def prompt(text: str) -> tuple[list[int], str]:
        rendered = context + template.render(texts | {longest: text}) + after
        return prompt_tokens(tokenizer, [rendered], continues=continues)[0], rendered

    text = texts[longest]
    ids, rendered = prompt(text)
    is_cut = len(ids) > limit
    while len(ids) > limit:
        # Not verbose: a long text is cut here, so the tokenizer need not warn.
        options = {"add_special_tokens": False, "return_offsets_mapping": True, "verbose": False}
        pieces = tokenize(tokenizer, text, **options)
        keep = len(pieces["input_ids"]) - (len(ids) - limit)
        if keep < 1:
            raise InputError(
                f"the template {template.text!r}{' with its context' * bool(context)} takes "
                f"{len(prompt('')[0])} tokens without the {longest}, and with the start of the "
                f"{longest} more than the {limit} tokens that there are positions for: shorten the "
                "template, the other fields or the answers, or show fewer demonstrations"
            )
        text = text[: min(pieces["offset_mapping"][keep - 1][1], len(text) - 1)]
        ids, rendered = prompt(text)
    return Prompt(ids, rendered, is_cut)
