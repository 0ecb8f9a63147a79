"""Methods that train nothing, carried out with a tiny model."""

import dataclasses

import pytest

from fsl_jax.data.examples import Dataset, Example, text_example
from fsl_jax.errors import InputError
from fsl_jax.formulations.writing import answer_writing
from fsl_jax.incontext.scoring import QueryScorer
from fsl_jax.models.generation.generate import Continuation
from fsl_jax.studies.planning.formulations import WAYS
from fsl_jax.studies.planning.plan import plan_programs
from fsl_jax.studies.running.prompting import make_prompt_formulation, prompt_context, run_prompts
from fsl_jax.tasks import few_shot_split
from fsl_jax.tasks.registry import find_task

TEMPLATE = {"template": "{text} . Topic :", "max_prompt_tokens": 100}


def test_only_demonstrations_stand_before_a_query(running_study):
    with running_study("zero_shot,icl", **TEMPLATE) as study:
        zero_shot, icl = plan_programs(study.config)
        formulation = make_prompt_formulation(study, icl)
        assert formulation.max_length == 100
        assert prompt_context(study, formulation, zero_shot.runs[0]).text == ""
        contexts = [prompt_context(study, formulation, run) for run in icl.runs]
        assert contexts[0].text != contexts[1].text
        assert contexts[0].text.count("Topic :") == 3
        limit = formulation.limit
        assert contexts[0].note == f"3 of 3 demonstrations fit into a prompt of {limit} tokens"


@pytest.mark.parametrize(("method", "times"), [("zero_shot", 1), ("icl", 2)])
def test_a_model_is_asked_once_for_each_context(running_study, monkeypatch, method, times):
    asked, score = [], QueryScorer.__call__

    def counting(self, params, queries, context="", on_batch=lambda done: None):
        asked.append(context)
        return score(self, params, queries, context, on_batch)

    monkeypatch.setattr(QueryScorer, "__call__", counting)
    with running_study(method, max_test=2, **TEMPLATE) as study:
        (program,) = plan_programs(study.config)
        records, seconds = run_prompts(study, program)
    assert len(asked) == times
    assert [record.seed for record in records] == [1, 2]
    assert all(record.selected and record.steps == 0 for record in records)
    assert [bool(record.notes) for record in records] == [method == "icl"] * 2
    assert "dropout" not in records[0].settings
    assert seconds["train"] == 0


def test_queries_that_were_cut_are_noted(running_study):
    with running_study("zero_shot", **TEMPLATE | {"max_prompt_tokens": 10}) as study:
        (program,) = plan_programs(study.config)
        records, _ = run_prompts(study, program)
        formulation = make_prompt_formulation(study, program)
        cut = formulation.tokenize(study.test).truncated
    assert cut > 0
    expected = f"{cut} test texts were longer than {formulation.limit} tokens and were cut"
    assert records[0].notes == (expected,)


def numbered(question, *choices):
    choices = {f"choice {number}": text for number, text in enumerate(choices, 1)}
    return {"question": question} | choices


ANSWERED = {
    "classification": [({"text": "w1 w2"}, "east"), ({"text": "w3"}, "west")],
    "multilabel": [({"text": "w1"}, ("east", "west")), ({"text": "w2"}, ("east", "west"))],
    "multicolumn": [({"text": "w1"}, ("east", "far")), ({"text": "w2"}, ("west", "very"))],
    "relation": [({"text": "@ w1 @ # w2 #"}, "east"), ({"text": "@ w3 @ # w4 #"}, "west")],
    "tagging": [
        ({"text": "w1 w2 w3"}, ("B-west", "I-west", "O")),
        ({"text": "w4 w5"}, ("O", "B-west")),
    ],
    "question_answering": [
        ({"question": "w1", "context": "w2 w3"}, (("w3", 3),)),
        ({"question": "w4", "context": "w5 w6"}, ()),
    ],
    "multiple_choice": [(numbered("w1", "w2", "w3"), 1), (numbered("w4", "w5", "w6 w7"), 0)],
    "generation": [({"text": "w1 w2"}, ("w3 w4",)), ({"text": "w5"}, ("w6",))],
}
"""Two examples of each task, which have all of its labels where it needs these to draw splits."""


def dataset_of(task, test=()):
    """A data set in which the first two examples are train, and two like them are validation."""
    kind = find_task(task)
    train = [Example(parts, answer) for parts, answer in ANSWERED[task]]
    more = [
        dataclasses.replace(each, parts={name: text + " w9" for name, text in each.parts.items()})
        for each in train
    ]
    if task == "tagging":
        more = [dataclasses.replace(each, answer=(*each.answer, "O")) for each in more]
    return Dataset(
        "few", tuple(train), tuple(more), tuple(test or more), kind.labels(train), task=task
    )


@pytest.mark.parametrize("task", ANSWERED)
@pytest.mark.parametrize("family", ["llama", "t5"])
def test_demonstrations_of_each_task_have_its_answers_in_writing(running_study, task, family):
    options = {"max_answer": 8, "max_prompt_tokens": 100}
    # Without being asked to, a model writes where there are no label words.
    options |= {"formulation": "written"} if "template" in WAYS[task] else {}
    with running_study("icl", family, dataset=dataset_of(task), **options) as study:
        (program,) = plan_programs(study.config)
        formulation = make_prompt_formulation(study, program)
        text = prompt_context(study, formulation, program.runs[0]).text
    assert formulation.name == "written"
    assert formulation.stop == ("\n",)
    shown = few_shot_split(study.dataset, 1, program.runs[0].seed).train
    kind, rest = find_task(task), text
    for example in shown:
        written, _, rest = rest.partition("\n\n")
        answer = written.removeprefix(formulation.template.render(example.parts))
        assert answer == f" {kind.written(example)}"
        assert kind.parse(answer, example, study.dataset.labels) is not None
    assert rest == ""


@pytest.mark.parametrize(("method", "asked"), [("zero_shot", 1), ("icl", 2)])
def test_what_a_model_writes_is_read_by_the_task(running_study, monkeypatch, method, asked):
    texts, prompts = [" w7 is a west", " what ?"], []

    def scripted(pretrained, given, **options):
        prompts.append(list(given))
        assert options["max_new_tokens"] == 4
        ended = zip(texts, ["length", "stop"], strict=True)
        return [[Continuation(text, 0.0, (), end)] for text, end in ended]

    monkeypatch.setattr(answer_writing, "generate", scripted)
    test = [
        Example({"text": "w7 w8"}, ("B-west", "O")),
        Example({"text": "w8 w7"}, ("O", "B-west")),
    ]
    dataset = dataset_of("tagging", test)
    options = {"max_answer": 4, "max_prompt_tokens": 60}
    with running_study(method, dataset=dataset, **options) as study:
        (program,) = plan_programs(study.config)
        records, _ = run_prompts(study, program)
    assert len(prompts) == asked
    assert all(each[0].endswith("w7 w8\nEntities:") for each in prompts)
    assert [("is a west" in each[0]) for each in prompts] == [method == "icl"] * asked
    # One entity of two was found, and no other.
    assert [record.test for record in records] == [round(2 / 3, 6)] * 2
    assert {record.metric for record in records} == {"entity_f1"}
    assert {record.formulation for record in records} == {"written"}
    for record in records:
        assert record.notes[-2:] == (
            "1 of 2 test answers were cut at 4 tokens (--max_answer)",
            "1 test answers could not be read, and count as wrong",
        )
        assert len(record.notes) == asked + 1


def test_answers_with_several_lines_end_at_an_empty_one(running_study):
    for answers, stop in [
        (("w1", "w2"), ("\n",)),
        (("w1\nw2", "w3"), ("\n\n",)),
        (("w1\n\nw2", "w3"), ()),
    ]:
        train = [text_example(f"w{number}", (each,)) for number, each in enumerate(answers)]
        dataset = Dataset("few", tuple(train), tuple(train), tuple(train), (), task="generation")
        with running_study("zero_shot", dataset=dataset, max_answer=4) as study:
            (program,) = plan_programs(study.config)
            assert make_prompt_formulation(study, program).stop == stop


def test_a_task_whose_answers_are_no_texts_is_refused(running_study):
    train = tuple(text_example(f"w{number}", float(number)) for number in range(4))
    dataset = Dataset("few", train[:2], train[2:], train[2:], (), task="regression")
    with running_study("zero_shot", dataset=dataset) as study:
        (program,) = plan_programs(study.config)
        with pytest.raises(InputError, match="the task regression of few has none: leave them out"):
            make_prompt_formulation(study, program)


def test_label_words_are_scored_unless_answers_are_to_be_written(running_study):
    for kind, name in [("auto", "template"), ("head", "template"), ("written", "written")]:
        with running_study("zero_shot", formulation=kind, max_answer=4, **TEMPLATE) as study:
            (program,) = plan_programs(study.config)
            assert make_prompt_formulation(study, program).name == name
    with running_study("zero_shot", formulation="template", dataset=dataset_of("tagging")) as study:
        (program,) = plan_programs(study.config)
        with pytest.raises(InputError, match="has no formulation 'template'"):
            make_prompt_formulation(study, program)
