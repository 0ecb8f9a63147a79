"""Read the parts of the data sets that are part of a Python package."""

from fsl_jax.data.embedded import EMBEDDED, distinct_articles
from fsl_jax.data.examples import text_example
from fsl_jax.data.rows import Parts, Row, Rows
from fsl_jax.data.splits import fixed_fifth

COLUMNS = ("text", "label", "headline", "body")


def embedded_parts(name: str) -> Parts:
    """Read one of the `EMBEDDED` data sets, with the headline and the body of each article.

    Args:
      name: a key of `EMBEDDED`.

    Returns:
      The parts "train" and "test", the same for all of them. Articles that repeat the headline or
      the body of an earlier one are left out.

    Raises:
      InputError: the package of the articles is not installed.
    """
    articles, repeated = distinct_articles()
    test = fixed_fifth([text_example(article.headline, article.label) for article in articles])
    parts = {part: Rows(f"{name} ({part})", "row", COLUMNS) for part in ("train", "test")}
    parts["train"].remarks.append(
        f"{repeated} articles of {name} are left out, since they repeat an earlier one."
    )
    for index, article in enumerate(articles):
        values = (EMBEDDED[name](article), article.label, article.headline, article.body)
        row = Row(index + 1, dict(zip(COLUMNS, values, strict=True)))
        parts["test" if index in test else "train"].rows.append(row)
    return {part: (rows,) for part, rows in parts.items()}
