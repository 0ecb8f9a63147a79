"""Data sets that are made of those of other tasks."""

import json

import pytest

from benchmarks.real_tasks.data_sets import (
    choices_from_questions,
    load_task,
    numbers_of_labels,
    types_of_entities,
)
from fsl_jax.data.examples import Example, text_example
from fsl_jax.tasks.multiple_choice import CONTEXT, QUESTION, choices


def question(text, answer, paragraph):
    answers = ((answer, 0),) if answer else ()
    return Example({QUESTION: text, CONTEXT: paragraph}, answers, paragraph)


def test_choices_are_answers_to_questions_on_the_same_paragraph():
    asked = [question(f"Which {letter}?", letter, "a b c d e") for letter in "abcde"]
    asked += [question("And none?", "", "a b c d e")]
    asked += [question(f"Which {letter}?", letter, "f g") for letter in "fg"]
    made = choices_from_questions(asked)
    assert [example.parts[QUESTION][6] for example in made] == list("abcde")
    for example in made:
        assert len(set(choices(example))) == 4
        assert set(choices(example)) <= set("abcde")
        assert choices(example)[example.answer] == example.parts[QUESTION][6]
    assert len({example.answer for example in made}) > 1


def test_types_and_numbers_take_the_place_of_answers():
    tagged = text_example("Ada saw Paris", ("B-person", "O", "B-place"))
    assert [each.answer for each in types_of_entities([tagged])] == [("person", "place")]
    labelled = [text_example("good", "positive"), text_example("bad", "negative")]
    assert [each.answer for each in numbers_of_labels(labelled)] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("source", "name", "task", "rows"),
    [
        (
            "sst2",
            "sst2_numbers",
            "regression",
            [{"text": "good", "label": "positive"}, {"text": "bad", "label": "negative"}],
        ),
        (
            "trec",
            "trec_columns",
            "multicolumn",
            [
                {"text": f"{word}?", "label": word, "fine_label": f"{word}s"}
                for word in ("place", "time")
            ],
        ),
    ],
)
def test_a_data_set_with_other_answers_has_another_task(source, name, task, rows, tmp_path):
    (tmp_path / source).mkdir()
    for part in ("train", "test"):
        lines = [json.dumps(row | {"text": f"{part} {row['text']}"}) for row in rows]
        (tmp_path / source / f"{part}.jsonl").write_text("\n".join(lines))
    dataset = load_task(name, str(tmp_path))
    assert (dataset.task, len(dataset.train), len(dataset.test)) == (task, 2, 2)
