"""Checks of the answers that a model learns to write."""

from collections.abc import Sequence

from fsl_jax.errors import brief, problems_error


def require_short(texts: Sequence[str], answers: Sequence[Sequence[int]], most: int) -> None:
    """Raise an error for answers of too many tokens, which are never cut.

    Args:
      texts: the answers.
      answers: the token ids of each, with the token that ends it.
      most: the largest number of tokens.

    Raises:
      InputError: there are longer answers; the error lists all.
    """
    longest = max(map(len, answers), default=0)
    if longest <= most:
        return
    raise problems_error(
        f"answers have more than {most} tokens, with the one that ends each. Give max_answer of "
        f"{longest}, or leave these examples out:",
        [
            f"{brief(text)} has {len(ids)}"
            for text, ids in zip(texts, answers, strict=True)
            if len(ids) > most
        ],
    )


def require_no_stop(texts: Sequence[str], stop: Sequence[str]) -> None:
    """Raise an error for answers that would end before their last token.

    Args:
      texts: the answers.
      stop: the strings that end a generated answer.

    Raises:
      InputError: answers hold such a string; the error lists all.
    """
    problems = [
        f"{brief(text)} has {string!r}" for text in texts for string in stop if string in text
    ]
    if problems:
        raise problems_error(
            "answers hold a string at which written answers end. Give stop without it:", problems
        )
