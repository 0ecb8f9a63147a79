import json
import shlex
from pathlib import Path

import pytest

from benchmarks.tasks.marks import SECTIONS
from benchmarks.tasks.rows import sample, sample_file
from benchmarks.tasks.sections import section, sections
from benchmarks.tasks.uses import USES
from fsl_jax.studies.planning.formulations import WAYS
from fsl_jax.tasks.registry import TASKS

ROOT = Path(__file__).parents[3]


def test_the_page_has_what_the_script_says():
    text = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
    _, _, after = text.partition(SECTIONS[0])
    assert after.partition(SECTIONS[1])[0].strip() == sections()


def test_every_task_has_rows_from_which_it_is_found_out():
    assert TASKS.keys() == WAYS.keys() == USES.keys()
    assert {name: sample(name).task for name in TASKS} == {name: name for name in TASKS}
    assert all(sample(name).test for name in TASKS)


@pytest.mark.parametrize("name", ["tagging", "multicolumn"])
def test_a_section_shows_a_row_its_answer_and_a_command_for_its_file(name):
    lines = section(name).splitlines()
    row, command = (lines[lines.index(f"```{kind}") + 1] for kind in ("json", "sh"))
    [file] = [each[10:] for each in shlex.split(command) if each.startswith("--dataset=")]
    assert (ROOT / file).samefile(sample_file(name))
    example = TASKS[name].reader([json.loads(row)], sample(name).columns)(json.loads(row))
    assert f"`{TASKS[name].written(example)}`" in " ".join(map(str.strip, lines))
