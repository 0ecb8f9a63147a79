r"""The templates that tasks are asked with unless a user gives another."""

from collections.abc import Mapping

TEMPLATES: Mapping[str, str] = {
    "classification": "{text}\nTopic:",
    "multilabel": "{text}\nTopics:",
    "multicolumn": "{text}\nLabels:",
    "relation": "{text}\nRelation:",
    "tagging": "{text}\nEntities:",
    "question_answering": "{context}\nQuestion: {question}\nAnswer:",
    "multiple_choice": "{text}\nAnswer:",
    "generation": "{text}\nAnswer:",
}
"""The template of each task that can be asked by a prompt. `{text}` stands for all parts."""


def template_of(task: str, given: str) -> str:
    """Return the template of a task: the one that is given, or else its usual one."""
    return given or TEMPLATES[task]
