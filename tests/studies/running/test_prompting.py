"""Methods that train nothing, carried out with a tiny model."""

import pytest

from fsl_jax.incontext.scoring import QueryScorer
from fsl_jax.studies.planning.plan import plan_programs
from fsl_jax.studies.running.prompting import make_prompt_formulation, prompt_context, run_prompts

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
