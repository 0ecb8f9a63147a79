"""Labels that a reader takes for the same: their hint, and how they become one."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from fsl_jax.data.duplicates import normalized
from fsl_jax.data.examples import Example
from fsl_jax.tasks.task import Task


def one_form(task: Task, parts: Mapping[str, Sequence[Example]]) -> dict[str, str]:
    """Choose one form for labels that differ only in case, white space or Unicode form.

    Args:
      task: the task.
      parts: the examples of each part.

    Returns:
      The new form of each label that changes: the most frequent one, first in train.
    """
    counts: Counter[str] = Counter()
    in_train: Counter[str] = Counter()
    for part, examples in parts.items():
        for example in examples:
            counts.update(task.labels_in(example))
            if part == "train":
                in_train.update(task.labels_in(example))
    chosen: dict[str, str] = {}
    for forms in _groups(counts):
        best = min(forms, key=lambda form: (-in_train[form], -counts[form], form))
        chosen |= {form: best for form in forms if form != best}
    return chosen


def hint(labels: Iterable[str]) -> str:
    """Say which labels differ only in case, white space or Unicode form; empty if none do."""
    groups = [" and ".join(map(repr, forms)) for forms in _groups(labels)]
    if not groups:
        return ""
    return (
        f"The labels {'; '.join(groups)} differ only in case, white space or Unicode form: "
        "`normalize_labels` makes them one."
    )


def _groups(labels: Iterable[str]) -> list[list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for label in sorted(set(labels)):
        groups[normalized(label)].append(label)
    return [forms for forms in groups.values() if len(forms) > 1]
