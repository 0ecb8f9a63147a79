"""Prompts from a file, and continuations into one."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from etils import epath

from fsl_jax.data.file_formats import listed, read_jsonl
from fsl_jax.errors import InputError, problems_error
from fsl_jax.models.generation.generate import Continuation
from fsl_jax.models.generation.prompts import Prompt
from fsl_jax.studies.records.jsonl import Record, write_records

COLUMN = "prompt"


@dataclasses.dataclass(frozen=True)
class Generated(Record):
    """One line of the file: a prompt and what follows it.

    Attributes:
      index: the prompt's place among all of them.
      prompt: the text, or the messages of a chat.
      continuations: for each its `text`, `score`, `tokens` and why it `ended`, as
        `fsl_jax.models.Continuation` has them.
    """

    index: int
    prompt: Any
    continuations: tuple[Any, ...]


def read_prompts(path: str) -> list[Prompt]:
    r"""Reads prompts from a file.

    Args:
      path: a `.txt` file with a prompt on each line that is not empty, in which `\n` is a new line;
        or a `.jsonl` file of objects with `prompt`: a text, or a list of messages with `role` and
        `content`.

    Returns:
      The prompts, in order.

    Raises:
      InputError: the file is not there, is of another kind, or has no prompts; or lines of it
        cannot be used, all of which are named.
    """
    file = Path(path)
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
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 ({error.reason}). Save it as UTF-8.") from error
    return [line.replace("\\n", "\n") for line in lines if line.strip()]


def _read_objects(file: Path) -> list[Prompt]:
    table = read_jsonl(file, (COLUMN,))
    found = list(table.malformed)
    if not table.has((COLUMN,)) and table.columns:
        found.append(f"there is no {COLUMN!r}; found {', '.join(table.columns)}")
    wrong = [row.number for row in table.rows if not _is_prompt(row.values[0])]
    if wrong:
        found.append(
            f"expected a text or a list of messages with role and content: lines {listed(wrong)}"
        )
    if found:
        raise problems_error(f"{file} cannot be used as it is. Mend these and try again:", found)
    return [row.values[0] for row in table.rows]


def _is_prompt(value: Any) -> bool:
    if isinstance(value, str):
        return True
    return isinstance(value, list) and all(
        isinstance(message, dict)
        and all(isinstance(message.get(name), str) for name in ("role", "content"))
        for message in value
    )


def write_generations(
    path: epath.PathLike,
    prompts: Sequence[Prompt],
    continuations: Sequence[Sequence[Continuation]],
) -> None:
    """Writes a line of JSON for each prompt; the file appears whole or not at all.

    Args:
      path: the file.
      prompts: what was continued.
      continuations: of each prompt.

    Raises:
      OSError: it could not be written; what was there before is untouched.
    """
    pairs = zip(prompts, continuations, strict=True)
    records = [
        Generated(index, prompt, tuple(dataclasses.asdict(each) for each in found))
        for index, (prompt, found) in enumerate(pairs)
    ]
    write_records(path, records)


def describe(prompts: Sequence[Prompt], continuations: Sequence[Sequence[Continuation]]) -> str:
    """The prompts with what follows them, for a terminal."""
    lines = []
    for index, (prompt, found) in enumerate(zip(prompts, continuations, strict=True)):
        shown = prompt if isinstance(prompt, str) else prompt[-1]["content"]
        lines.append(f"[{index}] {shown}")
        for each in found:
            lines.append(f"  → {each.text}")
            lines.append(f"    ({len(each.tokens)} tokens, score {each.score:.3f}, {each.ended})")
    return "\n".join(lines)
