from fsl_jax.formulations.template import Template
from fsl_jax.studies.planning.formulations import TEMPLATE, WAYS, WRITTEN
from fsl_jax.studies.planning.templates import TEMPLATES, template_of


def test_each_task_with_a_prompt_has_a_template():
    prompted = {task for task, ways in WAYS.items() if {TEMPLATE, WRITTEN} & set(ways)}
    assert prompted == set(TEMPLATES)
    assert all(Template(text).fields for text in TEMPLATES.values())


def test_a_given_template_comes_first():
    assert template_of("tagging", "{text}:") == "{text}:"
    assert template_of("tagging", "") == TEMPLATES["tagging"]
