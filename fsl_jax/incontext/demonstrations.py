"""Demonstrations: labelled examples that stand in the prompt before the query.

Brown et al., 2020, "Language Models are Few-Shot Learners", https://arxiv.org/abs/2005.14165.
"""

from collections.abc import Sequence

from fsl_jax.data.examples import Example
from fsl_jax.tasks.template_formulation import TemplateFormulation

SEPARATOR = "\n\n"


def context(formulation: TemplateFormulation, examples: Sequence[Example]) -> str:
    """The text of demonstrations, as it stands before a query.

    Args:
      formulation: its template and its verbalizer's first word for each label are used.
      examples: the demonstrations, in order.

    Returns:
      The text, empty where there are none.
    """
    words = dict(zip(formulation.labels, formulation.verbalizer.words, strict=True))
    shown = [formulation.template.render(each.text) + words[each.label][0] for each in examples]
    return "".join(text + SEPARATOR for text in shown)


def as_many_as_fit(
    formulation: TemplateFormulation, examples: Sequence[Example], queries: Sequence[Example]
) -> list[Example]:
    """The longest beginning of the demonstrations that leaves room for the longest query.

    All queries get the same demonstrations, so that these are encoded once; no query is cut to make
    room for one.

    Args:
      formulation: the formulation, whose limit counts.
      examples: demonstrations, in an order whose every beginning is balanced, as splits have it.
      queries: the examples that will be asked about.

    Returns:
      The demonstrations that fit.
    """
    tokenizer = formulation.pretrained.tokenizer
    prompts, _ = formulation.tokenize(queries)
    room = formulation.limit - max(map(len, prompts))
    low, high = 0, len(examples)
    while low < high:
        middle = (low + high + 1) // 2
        taken = len(tokenizer(context(formulation, examples[:middle]), verbose=False)["input_ids"])
        low, high = (middle, high) if taken <= room else (low, middle - 1)
    # Joined, two texts may take more tokens than each by itself.
    while low and _longest(formulation, examples[:low], queries) > formulation.limit:
        low -= 1
    return list(examples[:low])


def _longest(
    formulation: TemplateFormulation, examples: Sequence[Example], queries: Sequence[Example]
) -> int:
    """The tokens of the longest prompt with these demonstrations, nothing cut."""
    before = context(formulation, examples)
    prompts = [before + formulation.template.render(query.text) for query in queries]
    return max(map(len, formulation.pretrained.tokenizer(prompts, verbose=False)["input_ids"]))
