from fsl_jax.adapt import LoRA
from fsl_jax.studies.planning.plan import plan_programs
from fsl_jax.studies.planning.study_config import StudyConfig


def study_config(**changes) -> StudyConfig:
    given = {"models": ("small",), "dataset": "data", "methods": "lora", "seeds": (1, 2)}
    return StudyConfig(**given | {"learning_rates": "1e-3,1e-2"} | changes)


def test_every_seed_and_learning_rate_is_a_run():
    (program,) = plan_programs(study_config())
    assert [(run.seed, run.learning_rate) for run in program.runs] == [
        (1, 1e-3),
        (1, 1e-2),
        (2, 1e-3),
        (2, 1e-2),
    ]
    assert (program.steps, program.batch_size, program.formulation) == (100, 8, "auto")


def test_a_method_without_rates_has_those_of_its_own():
    (program,) = plan_programs(study_config(learning_rates="", seeds=(1,)))
    assert [run.learning_rate for run in program.runs] == [1e-4, 5e-4, 2e-3]


def test_ranks_share_a_program_and_targets_do_not():
    methods = "lora(rank=2),lora(rank=4),lora(targets='mlp')"
    first, second = plan_programs(study_config(methods=methods))
    assert {run.method_text for run in first.runs} == {"lora(rank=2)", "lora(rank=4)"}
    assert {run.method_text for run in second.runs} == {"lora(targets='mlp')"}


def test_joined_methods_share_a_program_where_their_parts_do():
    methods = "lora(rank=2)+adapter(size=4),lora+adapter,adapter+lora"
    first, second = plan_programs(study_config(methods=methods, steps="9,lora+adapter:5"))
    assert [program.name for program in (first, second)] == [
        "00-small-lora+adapter",
        "01-small-adapter+lora",
    ]
    assert {run.method_text for run in first.runs} == {
        "lora(rank=2)+adapter(size=4)",
        "lora+adapter",
    }
    assert (first.steps, second.steps) == (5, 9)


def test_other_steps_or_models_are_other_programs():
    programs = plan_programs(
        study_config(
            models=("small", "large"), methods="lora,bitfit,large:full", steps="9,bitfit:5"
        )
    )
    found = [(program.model, program.runs[0].method_text, program.steps) for program in programs]
    assert found == [
        ("small", "lora", 9),
        ("small", "bitfit", 5),
        ("large", "lora", 9),
        ("large", "bitfit", 5),
        ("large", "full", 9),
    ]
    assert len({program.name for program in programs}) == 5


def test_a_model_that_is_named_twice_is_planned_once():
    config = study_config(models=("small",))
    assert plan_programs(study_config(models=("small", "small"))) == plan_programs(config)


def test_prompted_methods_have_no_rates_and_a_probe_has_a_head():
    zero, probe = plan_programs(study_config(methods="zero_shot,linear_probe"))
    assert not zero.trains
    assert [run.learning_rate for run in zero.runs] == [None, None]
    assert zero.formulation == "auto"
    assert probe.trains
    assert probe.formulation == "head"


def test_a_head_that_a_method_needs_gives_way_to_the_formulation_that_was_asked_for():
    methods = "zero_shot,linear_probe"
    zero, probe = plan_programs(study_config(methods=methods, formulation="head"))
    assert (zero.formulation, probe.formulation) == ("auto", "head")
    _, probe = plan_programs(study_config(methods=methods, formulation="template"))
    assert probe.formulation == "template"


def test_methods_keep_the_texts_that_a_user_wrote():
    (program,) = plan_programs(study_config(methods="lora(2), lora( rank=4)", seeds=(1,)))
    assert [run.method_text for run in program.runs] == ["lora(2)"] * 2 + ["lora( rank=4)"] * 2
    assert {run.method for run in program.runs} == {LoRA(2), LoRA(4)}
