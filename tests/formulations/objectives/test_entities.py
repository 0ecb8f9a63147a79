"""In-program entities against the libraries that score tags."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nervaluate import Evaluator
from nervaluate.utils import collect_named_entities
from seqeval.metrics import f1_score
from seqeval.metrics.sequence_labeling import get_entities

from fsl_jax.errors import InputError
from fsl_jax.formulations.objectives.entities import NO_WORD, TagTable, count_entities
from fsl_jax.formulations.objectives.ratios import f1

TAGS = ("O", "B-PER", "I-PER", "I-LOC", "B-LOC", "B-a-b", "I-a-b")
TABLE = TagTable(TAGS)
SEQUENCES, WORDS = 4000, 9


@jax.jit
def counts_of(predicted, gold):
    return count_entities(TABLE.entities(predicted), TABLE.entities(gold))


@jax.jit
def entities_of(tags):
    return TABLE.entities(tags)


@pytest.fixture(scope="module")
def drawn():
    """Random tags, well-formed or not; predictions are often right, and lengths are from 1 to 9."""
    random = np.random.default_rng(0)
    gold = random.integers(len(TAGS), size=(SEQUENCES, WORDS)).astype(np.int32)
    gold[random.random(gold.shape) < 0.3] = 0
    other = random.integers(len(TAGS), size=gold.shape).astype(np.int32)
    predicted = np.where(random.random(gold.shape) < random.random((SEQUENCES, 1)), gold, other)
    lengths = random.integers(1, WORDS + 1, size=SEQUENCES)
    missing = np.arange(WORDS)[None] >= lengths[:, None]
    return tuple(np.where(missing, NO_WORD, each) for each in (predicted, gold))


def written(rows):
    return [[TAGS[tag] for tag in row if tag != NO_WORD] for row in rows]


def test_entities_are_those_of_both_libraries(drawn):
    kind, first, ends = map(np.asarray, entities_of(drawn[0]))
    names = sorted({tag[2:] for tag in TAGS[1:]})
    for row, tags in enumerate(written(drawn[0])):
        found = [(names[kind[row, w]], first[row, w], w) for w in np.flatnonzero(ends[row])]
        by_nervaluate = collect_named_entities(tags)
        assert found == [(each["label"], each["start"], each["end"]) for each in by_nervaluate]
        assert found == get_entities(tags)


def test_counts_of_each_sequence_are_those_of_nervaluate(drawn):
    counts = np.asarray(counts_of(*drawn))
    texts = zip(*map(written, drawn), strict=True)
    for count, (predicted, gold) in zip(counts[:1000], texts, strict=False):
        strict = Evaluator([gold], [predicted], ["PER", "LOC", "a-b"], loader="list")
        result = strict.evaluate()["overall"]["strict"]
        assert count.tolist() == [result.actual, result.possible, result.correct]


def test_f1_over_all_sequences_is_that_of_both_libraries(drawn):
    predicted, gold = map(written, drawn)
    found = f1(*counts_of(*drawn).sum(axis=0))
    strict = Evaluator(gold, predicted, ["PER", "LOC", "a-b"], loader="list").evaluate()
    assert 0.3 < found < 0.9
    np.testing.assert_allclose(found, strict["overall"]["strict"].f1, rtol=1e-6)
    np.testing.assert_allclose(found, f1_score(gold, predicted), rtol=1e-6)


@pytest.mark.parametrize(
    ("predicted", "gold"),
    [
        ("O O O", "B-PER I-PER O"),
        ("B-PER I-PER O", "O O O"),
        ("O O O", "O O O"),
        ("I-PER I-PER I-LOC", "B-PER I-PER B-LOC"),
        ("B-PER B-PER O", "B-PER I-PER O"),
        ("I-PER B-PER I-LOC", "I-PER B-PER I-LOC"),
    ],
)
def test_corner_cases_are_as_in_seqeval(predicted, gold):
    predicted, gold = predicted.split(), gold.split()
    indices = [
        jnp.array([[TAGS.index(tag) for tag in row]], jnp.int32) for row in (predicted, gold)
    ]
    found = f1(*count_entities(*map(TABLE.entities, indices))[0])
    with warnings.catch_warnings(action="ignore"):
        np.testing.assert_allclose(found, f1_score([gold], [predicted]), rtol=1e-6)


def test_tags_of_another_scheme_are_an_error_that_lists_them_all():
    with pytest.raises(InputError) as raised:
        TagTable(("B-PER", "E-PER", "I-", "B-PER", "o"))
    assert raised.value.problems == (
        "the tag O is missing",
        "'E-PER' is no tag",
        "'I-' is no tag",
        "'o' is no tag",
        "'B-PER' is there twice",
    )
