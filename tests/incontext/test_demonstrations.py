import collections
import copy
import dataclasses

import pytest
from tokenizers import Regex
from tokenizers.pre_tokenizers import Sequence, Split

from fsl_jax.data import text_example
from fsl_jax.formulations import Template, TemplateFormulation, Verbalizer
from fsl_jax.incontext.demonstrations import as_many_as_fit, context
from fsl_jax.tasks import few_shot_split

LABELS = ("east", "north", "west")
TEMPLATE = Template("{text} . Topic :")


@pytest.fixture
def make(tiny_bases):
    """Make a formulation of the tiny decoder with a limit on the tokens of prompts."""

    def formulation(max_length=None, words=()):
        verbalizer = Verbalizer.from_mapping(LABELS, dict(words))
        return TemplateFormulation(tiny_bases["llama"], LABELS, TEMPLATE, verbalizer, max_length)

    return formulation


@pytest.fixture
def split(tiny_dataset):
    return few_shot_split(tiny_dataset, 2, 13)


def lengths(formulation, text, queries):
    """Tokenise each prompt with this context before it; nothing is cut."""
    prompts = [text + TEMPLATE.render(query.parts) for query in queries]
    return [len(ids) for ids in formulation.pretrained.tokenizer(prompts)["input_ids"]]


def test_a_context_has_each_text_with_its_word(make):
    examples = [
        text_example("w1 w2", "north"),
        text_example("w3", "west"),
        text_example("{text}", "north"),
    ]
    assert context(make(words={"west": ["far west", "west"]}), examples) == (
        "w1 w2 . Topic : north\n\nw3 . Topic : far west\n\n{text} . Topic : north\n\n"
    )


def test_no_examples_are_no_context(make):
    assert context(make(), []) == ""


def test_all_are_shown_where_there_is_room(make, split):
    queries = [text_example("w1", "east")]
    taken = lengths(make(), context(make(), split.train[:2]), queries)[0]
    assert as_many_as_fit(make(taken), split.train[:2], queries) == list(split.train[:2])


@pytest.mark.parametrize("max_length", range(6, 33))
def test_as_many_are_shown_as_fit_before_the_longest_query(make, split, max_length):
    formulation = make(max_length)
    queries = [
        text_example("w1", "east"),
        text_example("w1 w2 w3", "west"),
        text_example("w2", "west"),
    ]
    shown = as_many_as_fit(formulation, split.train, queries)
    assert shown == list(split.train[: len(shown)])
    assert max(lengths(formulation, context(formulation, shown), queries)) <= formulation.limit
    assert formulation.tokenize(queries, context(formulation, shown)).truncated == 0
    more = split.train[: len(shown) + 1]
    assert max(lengths(formulation, context(formulation, more), queries)) > formulation.limit


def test_the_shown_ones_are_balanced(tiny_dataset):
    """Splits have their examples in rounds, so that every beginning is balanced."""
    train = few_shot_split(tiny_dataset, 3, 21).train
    for count in range(1, len(train) + 1):
        of_label = collections.Counter(example.answer for example in train[:count])
        numbers = [of_label[label] for label in tiny_dataset.labels]
        assert max(numbers) - min(numbers) <= 1


def test_a_query_that_fills_the_prompt_is_not_cut_for_demonstrations(make, split):
    formulation = make(20)
    queries = [text_example("w1 " * 17, "east"), text_example("w2", "east")]
    assert as_many_as_fit(formulation, split.train, queries) == []
    assert formulation.tokenize(queries).truncated == 0


def test_a_query_that_is_cut_anyway_leaves_no_room(make, split):
    formulation = make(20)
    assert as_many_as_fit(formulation, split.train, [text_example("w1 " * 50, "east")]) == []


@pytest.fixture
def joining_tokenizer(tiny_tokenizer):
    """Has a token for a gap between two texts, and none for one at the end."""
    joining = copy.deepcopy(tiny_tokenizer)
    joining.backend_tokenizer.pre_tokenizer = Sequence(
        [
            Split(Regex(r"\n(?=\nw)"), "isolated"),
            Split(Regex(r" |\n\n\z|\n(?=w)"), "removed"),
        ]
    )
    return joining


def test_what_joining_adds_is_counted(make, tiny_bases, joining_tokenizer):
    llama = dataclasses.replace(tiny_bases["llama"], tokenizer=joining_tokenizer)
    examples, queries = [text_example("w1", "east")] * 3, [text_example("w2 w3", "west")]
    apart = 2 * len(["w1", ".", "Topic", ":", "east"]) + len(["w2", "w3", ".", "Topic", ":"])

    def shown(max_length):
        formulation = dataclasses.replace(make(max_length), pretrained=llama)
        return as_many_as_fit(formulation, examples, queries)

    assert len(joining_tokenizer(context(make(), examples[:2]))["input_ids"]) == 2 * 5 + 1
    assert shown(apart + 2) == examples[:2]
    assert shown(apart + 1) == examples[:1]
