"""Tokenise prompts; if one is too long for the model, only its text is cut."""

from transformers import PreTrainedTokenizerBase

from fsl_jax.errors import InputError
from fsl_jax.models.tokenizing import prompt_tokens, tokenize
from fsl_jax.tasks.template import Template


def fit_prompt(
    tokenizer: PreTrainedTokenizerBase,
    template: Template,
    text: str,
    limit: int,
    context: str = "",
    *,
    continues: bool = True,
) -> tuple[list[int], bool]:
    """Tokenise a prompt; if it is longer than the limit, cut the end of its text.

    The words of the template are never cut.

    Args:
      tokenizer: the model's tokenizer.
      template: the template.
      text: the text of the example.
      limit: the largest number of tokens.
      context: text before the prompt, such as demonstrations; it is never cut.
      continues: as in `prompt_tokens`.

    Returns:
      The token ids, and True if the text was cut.

    Raises:
      InputError: template and context alone are longer than the limit.
    """

    def prompt(text: str) -> list[int]:
        rendered = context + template.render(text)
        return prompt_tokens(tokenizer, [rendered], continues=continues)[0]

    ids = prompt(text)
    cut = len(ids) > limit
    while len(ids) > limit:
        # Not verbose: a long text is cut here, so the tokenizer need not warn.
        options = {"add_special_tokens": False, "return_offsets_mapping": True, "verbose": False}
        pieces = tokenize(tokenizer, text, **options)
        keep = len(pieces["input_ids"]) - (len(ids) - limit)
        if keep < 1:
            raise InputError(
                f"the template {template.text!r}{' with its context' * bool(context)} takes "
                f"{len(prompt(''))} tokens without the text, and with the start of the text more "
                f"than the {limit} tokens that there are positions for: shorten the template or "
                "the label words, or show fewer demonstrations"
            )
        text = text[: min(pieces["offset_mapping"][keep - 1][1], len(text) - 1)]
        ids = prompt(text)
    return ids, cut
