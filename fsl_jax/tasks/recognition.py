"""Find out what a data set is for, by its columns and values, and which column plays which role."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from fsl_jax.data.rows import Rows
from fsl_jax.errors import InputError, nearest_names, problems_error
from fsl_jax.tasks.registry import AUTO, TASKS, find_task
from fsl_jax.tasks.task import Columns, Task, Values

LOOKED_AT = 1000
"""The number of rows that are looked at."""

GivenColumns = Mapping[str, str | Sequence[str]]
"""The columns of some roles, as a user gives them."""


@dataclasses.dataclass(frozen=True)
class Recognised:
    """A task, and the columns of its roles.

    Attributes:
      task: the task.
      columns: the columns of each role.
      sentence: what was found out, for the user.
    """

    task: Task
    columns: Columns
    sentence: str


def recognise(
    files: Sequence[Rows], task: str = AUTO, given: GivenColumns | None = None
) -> Recognised:
    """Find out the task of a data set, and the columns of its roles.

    Args:
      files: the files of train.
      task: the name of the task; `auto` finds it out.
      given: the columns of some roles; the others are found by their usual names.

    Returns:
      The task and the columns.

    Raises:
      InputError: there is no such task, or the columns can serve none, or not this one; the error
        says what is missing, and what the columns could serve.
    """
    columns = list(dict.fromkeys(column for file in files for column in file.columns))
    rows = [row.values for file in files for row in file.rows[:LOOKED_AT]][:LOOKED_AT]
    chosen = {
        role: (names,) if isinstance(names, str) else tuple(names)
        for role, names in (given or {}).items()
    }
    if task != AUTO:
        return _of_task(find_task(task), columns, rows, chosen)
    _check_roles(chosen, list(TASKS.values()))
    for each in _serving(columns, rows, chosen):
        return each
    guessed = _guess(columns, rows) if not chosen else None
    if guessed:
        return guessed
    raise problems_error(
        f"the columns {_listed(columns)} show no task. Say which one it is with `task`, and its "
        f"columns with `columns`, by role:",
        [_lacks(each, columns, rows, chosen) for each in TASKS.values()],
    )


def _of_task(
    task: Task, columns: Sequence[str], rows: Sequence[Values], chosen: Columns
) -> Recognised:
    """Return the columns of a task that the user names."""
    _check_roles(chosen, [task])
    found = task.find(columns, rows) | dict(chosen)
    missing = _missing(task, found)
    if missing:
        others = [f"{each.task.name} ({_shown(each)})" for each in _serving(columns, rows, {})]
        could = f" They could serve {' or '.join(others)}." if others else ""
        raise problems_error(
            f"the columns {_listed(columns)} cannot serve the task {task.name!r}, which needs "
            f"{task.description}. Say with `columns` which column plays the role.{could}",
            [_needs(task, role) for role in missing],
        )
    return _recognised(task, found, "The task is")


def _serving(
    columns: Sequence[str], rows: Sequence[Values], chosen: Columns
) -> Iterator[Recognised]:
    """Yield the tasks that the columns can serve and the values look like."""
    for task in TASKS.values():
        if not set(chosen) <= set(task.roles):
            continue
        found = task.find(columns, rows) | dict(chosen)
        if not _missing(task, found) and _distinct(task, found) and task.recognises(rows, found):
            yield _recognised(task, found, "The columns show the task")


def _guess(columns: Sequence[str], rows: Sequence[Values]) -> Recognised | None:
    """Recognise two columns with unusual names: texts and classes, or two texts."""
    kept = [c for c in columns if any(isinstance(row.get(c), str) for row in rows)]
    if len(columns) != 2 or not rows:
        return None
    distinct = {column: len({str(row.get(column)) for row in rows}) for column in columns}
    label, text = sorted(columns, key=lambda column: distinct[column])
    begins = "By their values, the columns show the task"
    for name, found in (
        ("classification", {"text": (text,), "label": (label,)}),
        ("generation", {"source": (columns[0],), "target": (columns[1],)}),
    ):
        if text in kept and TASKS[name].recognises(rows, found):
            return _recognised(TASKS[name], found, begins)
    return None


def _recognised(task: Task, found: Mapping[str, tuple[str, ...]], begins: str) -> Recognised:
    columns = {role: found[role] for role in task.roles if found.get(role)}
    recognised = Recognised(task, columns, "")
    return dataclasses.replace(recognised, sentence=f"{begins} {task.name}: {_shown(recognised)}.")


def _missing(task: Task, found: Mapping[str, tuple[str, ...]]) -> list[str]:
    return [role for role in task.roles if role not in task.optional and not found.get(role)]


def _distinct(task: Task, found: Mapping[str, tuple[str, ...]]) -> bool:
    """Return True if no column plays two roles."""
    used = [column for role in task.roles for column in found.get(role, ())]
    return len(set(used)) == len(used)


def _check_roles(chosen: Columns, tasks: Sequence[Task]) -> None:
    known = dict.fromkeys(role for task in tasks for role in task.roles)
    for role in chosen:
        if role not in known:
            nearest = nearest_names(role, known)
            hint = f" Did you mean {' or '.join(map(repr, nearest))}?" if nearest else ""
            of = f"the task {tasks[0].name!r} has" if len(tasks) == 1 else "any task has"
            raise InputError(f"{role!r} is no role that {of}: {', '.join(known)}.{hint}")
    used = [column for columns in chosen.values() for column in columns]
    for column in dict.fromkeys(used):
        if used.count(column) > 1:
            roles = " and ".join(repr(role) for role, names in chosen.items() if column in names)
            raise InputError(
                f"the column {column!r} is named twice, for {roles}: name two columns."
            )


def _lacks(task: Task, columns: Sequence[str], rows: Sequence[Values], chosen: Columns) -> str:
    found = task.find(columns, rows) | {r: c for r, c in chosen.items() if r in task.roles}
    missing = _missing(task, found)
    if missing:
        return f"{task.name}, {task.description}: {'; '.join(_needs(task, r) for r in missing)}"
    foreign = [role for role in chosen if role not in task.roles]
    if foreign:
        return f"{task.name} has no role {' or '.join(map(repr, foreign))}"
    shown = _shown(_recognised(task, found, ""))
    return f"{task.name}, {task.description}: the values do not look like it ({shown})"


def _needs(task: Task, role: str) -> str:
    names = task.roles[role]
    usual = f", such as {', '.join(map(repr, names[:3]))}" if names else ""
    return f"no column for the role {role!r}{usual}"


def _shown(recognised: Recognised) -> str:
    return ", ".join(
        f"{role} is {' and '.join(map(repr, columns))}"
        for role, columns in recognised.columns.items()
    )


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(map(repr, columns)) if columns else "(none)"
