"""Prompts as tokens, cut inside the text alone where one is too long for the model."""

import functools

from transformers import PreTrainedTokenizerBase

from fsl_jax.errors import InputError
from fsl_jax.tasks.template import Template


def fit_prompt(
    tokenizer: PreTrainedTokenizerBase, template: Template, text: str, limit: int, context: str = ""
) -> tuple[list[int], bool]:
    """The tokens of a prompt that is no longer than a limit.

    What the template says stays whole; only the text loses its end, and the caller counts that.

    Args:
      tokenizer: the model's tokenizer.
      template: the template.
      text: the text of the example.
      limit: the largest number of tokens.
      context: what stands before the prompt, such as demonstrations; it is never cut.

    Returns:
      The token ids, and whether the text was cut.

    Raises:
      InputError: template and context alone are longer than the limit.
    """
    # Not verbose: what is too long is cut here and counted, so there is nothing to warn of.
    read = functools.partial(tokenizer, verbose=False)
    ids = read(context + template.render(text))["input_ids"]
    cut = len(ids) > limit
    while len(ids) > limit:
        pieces = read(text, add_special_tokens=False, return_offsets_mapping=True)
        keep = len(pieces["input_ids"]) - (len(ids) - limit)
        if keep < 1:
            raise InputError(
                f"the template {template.text!r} with its context takes more than the {limit} "
                "tokens that there is room for: shorten the template or show fewer demonstrations"
            )
        text = text[: min(pieces["offset_mapping"][keep - 1][1], len(text) - 1)]
        ids = read(context + template.render(text))["input_ids"]
    return ids, cut
