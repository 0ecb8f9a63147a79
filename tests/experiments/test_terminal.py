"""Characters that a terminal lacks are printed as similar ones."""

import io
import sys

import pytest
from rich.console import Console
from rich.table import Table

from experiments import terminal


@pytest.fixture
def streams(monkeypatch):
    """Standard output and standard error of an encoding, which tests read as bytes."""

    def of(encoding: str) -> dict[str, io.BytesIO]:
        written = {name: io.BytesIO() for name in ("stdout", "stderr")}
        for name, stream in written.items():
            monkeypatch.setattr(sys, name, io.TextIOWrapper(stream, encoding, write_through=True))
        return written

    return of


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("ascii", rb"a -> b +/- 1 ... -- | \u65e5 \udce9"),
        ("latin-1", rb"a -> b " + b"\xb1" + rb" 1 ... -- | \u65e5 \udce9"),
        ("utf-8", "a → b ± 1 … ─━ │ 日 ".encode() + rb"\udce9"),
    ],
)
def test_a_terminal_shows_what_it_can(streams, encoding, expected):
    written = streams(encoding)
    terminal.print_everything()
    for name, stream in (("stdout", sys.stdout), ("stderr", sys.stderr)):
        print("a → b ± 1 … ─━ │ 日 \udce9", file=stream, end="")
        assert written[name].getvalue() == expected


def test_a_table_needs_nothing_but_ascii(streams):
    written = streams("ascii")
    terminal.print_everything()
    table = Table("method", "accuracy")
    table.add_row("lora", "65.0 ± 1.2")
    Console().print(table)
    assert b"65.0 +/- 1.2" in written["stdout"].getvalue()


def test_a_closed_stream_is_passed_over(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    terminal.print_everything()
    with sys.stdout:
        print("read by nobody")
