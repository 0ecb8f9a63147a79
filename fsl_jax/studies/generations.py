"""Read prompts from a file, and write continuations to a file."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from etils import epath

from fsl_jax.data.readers.jsonl import read_jsonl
from fsl_jax.errors import InputError, problems_error
from fsl_jax.files import local_path
from fsl_jax.models.generation.chat import Prompt, last_text, prompt_problem
from fsl_jax.models.generation.generate import Continuation
from fsl_jax.studies.records.jsonl import Record, write_records

COLUMN = "prompt"


@dataclasses.dataclass(frozen=True)
class Generated(Record):
    """One line of the file: a prompt and its continuations.

    Attributes:
      index: the position of the prompt among all prompts.
      prompt: the text, or the messages of a chat.
      continuations: the fields of each `fsl_jax.models.Continuation`: `text`, `score`, `tokens` and
        `ended`.
    """

    index: int
    prompt: Any
    continuations: tuple[Any, ...]


def read_prompts(path: str) -> list[Prompt]:
    r"""Read prompts from a file.

    Args:
      path: a `.txt` file or a `.jsonl` file. A `.txt` file has a prompt on each line that is not
        empty; `\n` stands for a new line. A `.jsonl` file has objects with `prompt`: a text, or a
        list of messages with `role` and `content`. Lines end at line feeds only.

    Returns:
      The prompts, in order.

    Raises:
      InputError: the file does not exist, is of another kind, or has no prompts, or lines cannot be
        used; the error names all such lines.
    """
    file = local_path(path)
    if not file.is_file():
        raise InputError(f"{path}: there is no such file. Give a .txt or .jsonl file of prompts.")
    if file.suffix == ".txt":
        prompts = _read_lines(file)
    elif file.suffix == ".jsonl":
        prompts = _read_objects(file)
    else:
        raise InputError(
            f"{path}: expected a .txt or .jsonl file, found {file.suffix or 'neither'}"
        )
    if not prompts:
        raise InputError(f"{path}: there are no prompts in this file.")
    return prompts


def _read_lines(file: Path) -> list[Prompt]:
    try:
        # Not `splitlines`, which also cuts at characters inside a line, such as U+2028.
        lines = file.read_bytes().decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError as error:
        number = error.object[: error.start].count(b"\n") + 1
        raise InputError(
            f"{file}, line {number}: not UTF-8 ({error.reason}). Save it as UTF-8."
        ) from error
    return [line.replace("\\n", "\n") for line in lines if line.strip()]


def _read_objects(file: Path) -> list[Prompt]:
    table = read_jsonl(file)
    problems = list(table.malformed)
    if COLUMN not in table.columns and table.columns:
        problems.append(f"there is no {COLUMN!r}; found {', '.join(table.columns)}")
    for row in table.rows if COLUMN in table.columns else ():
        if problem := prompt_problem(row.values[COLUMN]):
            problems.append(f"line {row.number} is {problem}")
    if problems:
        raise problems_error(
            f"{file} cannot be used as it is. Correct these and try again:", problems
        )
    return [row.values[COLUMN] for row in table.rows]


def write_generations(
    path: epath.PathLike,
    prompts: Sequence[Prompt],
    continuations: Sequence[Sequence[Continuation]],
) -> None:
    """Write a line of JSON for each prompt; the file appears complete or not at all.

    Args:
      path: the file.
      prompts: the prompts.
      continuations: the continuations of each prompt.

    Raises:
      OSError: the file could not be written; an earlier file is unchanged.
    """
    pairs = zip(prompts, continuations, strict=True)
    records = [
        Generated(index, prompt, tuple(dataclasses.asdict(each) for each in following))
        for index, (prompt, following) in enumerate(pairs)
    ]
    write_records(path, records)


def describe(prompts: Sequence[Prompt], continuations: Sequence[Sequence[Continuation]]) -> str:
    """Return the prompts and their continuations as text for a terminal."""
    lines = []
    for index, (prompt, following) in enumerate(zip(prompts, continuations, strict=True)):
        lines.append(f"[{index}] {last_text(prompt)}")
        for continuation in following:
            facts = f"score {continuation.score:.3f}, {continuation.ended}"
            lines.append(f"  → {continuation.text}")
            lines.append(f"    ({len(continuation.tokens)} tokens, {facts})")
    return "\n".join(lines)
