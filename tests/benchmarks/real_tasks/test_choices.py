"""Multiple choice made of SQuAD, as files that a study reads."""

import json

from benchmarks.real_tasks.choices import write_choices
from fsl_jax.tasks import load_dataset
from fsl_jax.tasks.multiple_choice import choices


def test_a_study_reads_what_was_written(tmp_path):
    (tmp_path / "squad_sample").mkdir()
    for part in ("train", "test"):
        words = [f"{part}{letter}" for letter in "abcde"]
        context = " ".join(words)
        questions = [
            {
                "id": word,
                "question": f"Which is {word}?",
                "answers": [{"text": word, "answer_start": context.index(word)}],
            }
            for word in words
        ]
        paragraphs = [{"context": context, "qas": questions}]
        document = {"version": "1.1", "data": [{"title": part, "paragraphs": paragraphs}]}
        (tmp_path / "squad_sample" / f"{part}.json").write_text(json.dumps(document))
    write_choices(str(tmp_path), tmp_path / "made")
    made = load_dataset(str(tmp_path / "made"), columns={"group": ("paragraph",)})
    assert made.task == "multiple_choice"
    assert (len(made.train), len(made.test)) == (5, 5)
    assert len({example.group for example in made.train}) == 1
    for example in (*made.train, *made.test):
        assert choices(example)[example.answer] in example.parts["question"]
