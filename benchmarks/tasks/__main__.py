"""Make what docs/tasks.md says about each task, and its table of tasks, ways and families.

Example: `python -m benchmarks.tasks --page=docs/tasks.md`

The table is found out by trying, which takes a few minutes; see `benchmarks.tasks.trying`.
"""

import os
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

from absl import app, flags

from benchmarks.tasks.marks import SECTIONS, TABLE
from benchmarks.tasks.sections import sections
from benchmarks.tasks.table import table
from fsl_jax.pages import write_between

_PAGE = flags.DEFINE_string("page", None, "A page whose sections and table are replaced.")


def main(_: list[str]) -> None:
    """Print the sections and the table, and write them into a page if one is named."""
    for marks, content in ((SECTIONS, sections()), (TABLE, table())):
        print(content)
        if _PAGE.value:
            write_between(Path(_PAGE.value), *marks, content)


if __name__ == "__main__":
    app.run(main)
