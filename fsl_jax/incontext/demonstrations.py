"""Demonstrations: labelled examples in the prompt, before the query.

Brown et al., 2020, "Language Models are Few-Shot Learners", https://arxiv.org/abs/2005.14165.
"""

from collections.abc import Sequence

from fsl_jax.data.examples import Example
from fsl_jax.formulations.formulation import PromptFormulation

SEPARATOR = "\n\n"


def context(formulation: PromptFormulation, examples: Sequence[Example]) -> str:
    """Render demonstrations as the text before a query.

    Args:
      formulation: renders each demonstration.
      examples: the demonstrations, in order.

    Returns:
      The text; empty if there are no demonstrations.
    """
    return "".join(formulation.demonstration(example) + SEPARATOR for example in examples)


def as_many_as_fit(
    formulation: PromptFormulation, examples: Sequence[Example], queries: Sequence[Example]
) -> list[Example]:
    """Return as many of the first demonstrations as fit in a prompt with the longest query.

    All queries get the same demonstrations, which are thus encoded once. No query is cut to make
    room for a demonstration.

    Args:
      formulation: the formulation, which sets the largest number of tokens.
      examples: demonstrations in the order of a split, so that any first few are balanced.
      queries: the examples that will be asked.

    Returns:
      The demonstrations that fit.
    """
    prompts = formulation.tokenize(queries).tokens
    free_tokens = formulation.prompt_limit - max(map(len, prompts))
    low, high = 0, len(examples)
    while low < high:
        middle = (low + high + 1) // 2
        text = context(formulation, examples[:middle])
        fits = formulation.count_tokens([text])[0] <= free_tokens
        low, high = (middle, high) if fits else (low, middle - 1)
    # Two joined texts may have more tokens than the two texts alone.
    while low and _longest(formulation, examples[:low], queries) > formulation.prompt_limit:
        low -= 1
    return list(examples[:low])


def _longest(
    formulation: PromptFormulation, examples: Sequence[Example], queries: Sequence[Example]
) -> int:
    """Count the tokens of the longest prompt with these demonstrations, without cutting it."""
    before = context(formulation, examples)
    prompts = [before + formulation.prompt_text(query) for query in queries]
    return max(formulation.count_tokens(prompts))
