"""Tokenise prompts; if one is too long for the model, only its text is cut."""

import functools

from transformers import PreTrainedTokenizerBase

from fsl_jax.errors import InputError
from fsl_jax.tasks.template import Template


def fit_prompt(
    tokenizer: PreTrainedTokenizerBase, template: Template, text: str, limit: int, context: str = ""
) -> tuple[list[int], bool]:
    """Tokenise a prompt; if it is longer than the limit, cut the end of its text.

    The words of the template are never cut.

    Args:
      tokenizer: the model's tokenizer.
      template: the template.
      text: the text of the example.
      limit: the largest number of tokens.
      context: text before the prompt, such as demonstrations; it is never cut.

    Returns:
      The token ids, and True if the text was cut.

    Raises:
      InputError: template and context alone are longer than the limit.
    """
    # Not verbose: a long prompt is cut here, so the tokenizer need not warn.
    tokenize = functools.partial(tokenizer, verbose=False)
    ids = tokenize(context + template.render(text))["input_ids"]
    cut = len(ids) > limit
    while len(ids) > limit:
        pieces = tokenize(text, add_special_tokens=False, return_offsets_mapping=True)
        keep = len(pieces["input_ids"]) - (len(ids) - limit)
        if keep < 1:
            raise InputError(
                f"the template {template.text!r} with its context takes more than the {limit} "
                "tokens that there is room for: shorten the template or show fewer demonstrations"
            )
        text = text[: min(pieces["offset_mapping"][keep - 1][1], len(text) - 1)]
        ids = tokenize(context + template.render(text))["input_ids"]
    return ids, cut
