"""Read questions on paragraphs in the JSON of SQuAD, versions 1.1 and 2.0.

Rajpurkar et al. 2016, https://arxiv.org/abs/1606.05250. Rows have the columns that `datasets` gives
them, and `group`, which tells the paragraphs from each other.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from fsl_jax.data.rows import Row, Rows
from fsl_jax.errors import brief

COLUMNS = ("id", "title", "context", "question", "answers", "is_impossible", "group")


def is_squad(value: Any) -> bool:
    """Return True for the contents of a file that has paragraphs in `data`."""
    articles = value.get("data") if isinstance(value, Mapping) else None
    return isinstance(articles, list) and any(
        isinstance(article, Mapping) and "paragraphs" in article for article in articles
    )


def squad_rows(value: Mapping[str, Any], rows: Rows) -> Rows:
    """Return the questions of a file, in their order.

    Args:
      value: the contents, for which `is_squad` is True.
      rows: gets the rows, whose numbers count the questions; and what is malformed, by its place.

    Returns:
      `rows`. The `answers` of a question are lists `text` and `answer_start`; None if the file
      gives none, as for a hidden test set.
    """
    rows.columns = COLUMNS
    number = 0
    for place, title, paragraph in _paragraphs(value["data"], rows.malformed):
        context = paragraph["context"]
        group = hashlib.sha256(context.encode(errors="surrogatepass")).hexdigest()[:16]
        for index, question in enumerate(paragraph["qas"]):
            number += 1
            here = f"{place}.qas[{index}]"
            if problem := _question_problem(question):
                rows.malformed.append(f"question {number} ({here}): {problem}")
                continue
            known = {"title": title, "context": context, "group": group}
            rows.rows.append(Row(number, _question_values(question) | known))
    return rows


def _paragraphs(
    articles: list[Any], malformed: list[str]
) -> Iterator[tuple[str, Any, Mapping[str, Any]]]:
    """Yield the place of each paragraph, the title of its article, and the paragraph."""
    for a, article in enumerate(articles):
        paragraphs = article.get("paragraphs") if isinstance(article, Mapping) else None
        if not isinstance(paragraphs, list):
            malformed.append(f"data[{a}]: expected a list of paragraphs, found {brief(paragraphs)}")
            continue
        for p, paragraph in enumerate(paragraphs):
            place = f"data[{a}].paragraphs[{p}]"
            if (
                isinstance(paragraph, Mapping)
                and isinstance(paragraph.get("context"), str)
                and isinstance(paragraph.get("qas"), list)
            ):
                yield place, article.get("title"), paragraph
            else:
                malformed.append(f"{place}: expected a text `context` and a list `qas`")


def _question_problem(question: Any) -> str | None:
    if not isinstance(question, Mapping) or not isinstance(question.get("question"), str):
        return "expected an object with a text `question`"
    answers = question.get("answers")
    if answers is None or (isinstance(answers, list) and all(map(_is_answer, answers))):
        return None
    return (
        "expected `answers` to be a list of objects with `text` and a whole number "
        f"`answer_start`, found {brief(answers)}"
    )


def _is_answer(answer: Any) -> bool:
    return (
        isinstance(answer, Mapping)
        and isinstance(answer.get("text"), str)
        and type(answer.get("answer_start")) is int
    )


def _question_values(question: Mapping[str, Any]) -> dict[str, Any]:
    answers = question.get("answers")
    lists = {name: [a[name] for a in answers or ()] for name in ("text", "answer_start")}
    return {
        "id": question.get("id"),
        "question": question["question"],
        "answers": None if answers is None else lists,
        "is_impossible": question.get("is_impossible", False),
    }
