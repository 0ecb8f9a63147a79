r"""Write the multiple choice that is made of SQuAD as files, for a study of it.

Example: `python -m benchmarks.real_tasks.choices --data_dir=data --output=data/squad_choices`

Each question has its answer among those to three other questions on the same paragraph. A study
keeps the questions on a paragraph on one side with `--columns=group:paragraph`.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from absl import app, flags

from benchmarks.real_tasks.data_sets import load_task
from fsl_jax.data.examples import Example
from fsl_jax.files import write_atomically
from fsl_jax.tasks.multiple_choice import CONTEXT, QUESTION, choices

_DATA_DIR = flags.DEFINE_string("data_dir", ".", "The directory that has `squad_sample`.")
_OUTPUT = flags.DEFINE_string("output", None, "The directory to write to.", required=True)


def write_choices(data_dir: str, output: Path) -> None:
    """Write `train.jsonl` and `test.jsonl`.

    Args:
      data_dir: the directory that has `squad_sample`.
      output: the directory to write to; it is made.
    """
    dataset = load_task("squad_choices", data_dir)
    output.mkdir(parents=True, exist_ok=True)
    for name, examples in (("train", dataset.train), ("test", dataset.test)):
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in _rows(examples)]
        write_atomically(output / f"{name}.jsonl", "".join(lines))


def _rows(examples: tuple[Example, ...]) -> Iterator[dict[str, object]]:
    for example in examples:
        yield {
            "paragraph": example.group,
            "context": example.parts[CONTEXT],
            "question": example.parts[QUESTION],
            "choices": choices(example),
            "answer": example.answer,
        }


def main(arguments: list[str]) -> None:
    """Write the files that the flags ask for."""
    if len(arguments) > 1:
        raise app.UsageError(f"unexpected arguments: {' '.join(arguments[1:])}")
    write_choices(_DATA_DIR.value, Path(_OUTPUT.value))


if __name__ == "__main__":
    app.run(main)
