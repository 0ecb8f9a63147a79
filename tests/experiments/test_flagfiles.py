"""Flagfiles come back as the flags that they were written from, and errors name the file."""

import dataclasses
import string

import pytest
from absl import flags
from fuzzing import read_damaged
from hypothesis import given
from hypothesis import strategies as st

from experiments import dataclass_flags, flagfiles
from fsl_jax.errors import InputError
from fsl_jax.studies.planning.flag_field import flag_field
from fsl_jax.studies.planning.study_config import StudyConfig


@dataclasses.dataclass(frozen=True)
class Every:
    """A flag of every kind."""

    name: str = flag_field("A text.", "")
    template: str | None = flag_field("With lines.", None, escaped=True)
    words: tuple[str, ...] = flag_field("A list.", ())
    stop: tuple[str, ...] = flag_field("Given several times.", (), repeated=True)
    count: int | None = flag_field("A number.", None)
    share: float = flag_field("A share.", 0.5)
    fast: bool = flag_field("A switch.", False)


NAMES = dataclass_flags.names(Every)


def parse(arguments: list[str], dataclass=Every) -> tuple[object, list[flags.Flag]]:
    values = flags.FlagValues()
    dataclass_flags.define(dataclass, values)
    assert values(["script", *arguments]) == ["script"], "an argument is no flag"
    return dataclass_flags.parsed(dataclass, values), [
        values[name] for name in dataclass_flags.names(dataclass)
    ]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("flags") / "flags.txt"


def again(file, script_flags) -> object:
    file.write_bytes(flagfiles.written(script_flags).encode())
    return parse(flagfiles.expand([f"--flagfile={file}"]))[0]


TEXTS = [
    "two\nlines",
    "a\r\nb\rc",
    " blanks around ",
    "\ttab",
    '"quoted"',
    "'it''s'",
    "# no comment",
    "// nor this",
    "--shots=4",
    "--flagfile=other.flags",
    "a,b",
    "back\\slash\\",
    "\\n",
    "日本語 Ünïcode ‮right to left",
    "\u2028 \x85 \x0b \x0c \xa0",
    "",
    "a=b",
    "\x1b[31m",
]


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_comes_back(file, text):
    made, script_flags = parse([f"--name={text}", f"--template={text}", f"--stop={text}"])
    assert made.name == text
    assert again(file, script_flags) == made


texts = st.text(st.sampled_from(string.printable + "é日\u2028\x85\xa0\ufeff😀"), max_size=12)


@given(
    texts,
    texts,
    st.lists(texts, max_size=3),
    st.lists(texts, max_size=3),
    st.none() | st.integers(),
    st.floats(allow_nan=False),
    st.booleans(),
)
def test_all_values_come_back(file, name, template, words, stop, count, share, fast):
    listed = flags.FlagValues()
    flags.DEFINE_list("words", words, "", flag_values=listed)
    made, script_flags = parse(
        [
            f"--name={name}",
            f"--template={template}",
            listed["words"].serialize(),
            *(f"--stop={each}" for each in stop),
            *([] if count is None else [f"--count={count}"]),
            f"--share={share}",
            "--fast" if fast else "--nofast",
        ]
    )
    assert again(file, script_flags) == made


def test_ordinary_flags_are_written_as_a_user_writes_them():
    _, script_flags = parse(["--name=x y", "--template=a\\nb", "--words=1,2", "--stop=u", "--fast"])
    assert flagfiles.written(script_flags) == (
        "--fast\n--name=x y\n--share=0.5\n--stop=u\n--template=a\\nb\n--words=1,2\n"
    )
    assert flagfiles.written(parse(["--name=two\nlines"])[1]).splitlines()[1:2] == [
        '"--name=two\\nlines"'
    ]


def test_the_defaults_of_a_study_come_back(file):
    made, script_flags = parse(["--template=Text: {text}\nTopic:"], StudyConfig)
    file.write_text(flagfiles.written(script_flags))
    assert parse(flagfiles.expand([f"--flagfile={file}"]), StudyConfig)[0] == made
    assert made.template == "Text: {text}\nTopic:"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two folders with flagfiles, one of which is the working directory."""
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "shared.flags").write_text(f"--name={name}\n")
    (tmp_path / "here" / "only.flags").write_text("--name=only here\n")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "there"


def expanded(folder, text: str | bytes) -> list[str]:
    path = folder / "first.flags"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return flagfiles.expand(["--before", "--flagfile", str(path), "--after"])[1:-1]


def test_lines_are_arguments_without_comments_and_blanks(folder):
    text = "\ufeff# a comment\n\n // too\n  --shots=4 \r\n--seeds=1\u2028\r--steps\n5\n"
    assert expanded(folder, text) == ["--shots=4", "--seeds=1", "--steps", "5"]


def test_an_included_file_is_beside_the_file_that_includes_it_or_in_the_working_directory(folder):
    assert expanded(folder, "--flagfile=shared.flags") == ["--name=there"]
    assert expanded(folder, "--flagfile\nonly.flags\n--fast") == ["--name=only here", "--fast"]
    assert flagfiles.expand(["--flagfile=shared.flags"]) == ["--name=here"]
    twice = "--flagfile=shared.flags\n--flagfile=shared.flags"
    assert expanded(folder, twice) == ["--name=there"] * 2


def test_what_follows_two_dashes_is_kept():
    assert flagfiles.expand(["--", "--flagfile=x"]) == ["--", "--flagfile=x"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--columns=text:café".encode("latin-1"), "first.flags: byte 18 is not UTF-8"),
        ("--flagfile=first.flags", "first.flags includes itself"),
        ("--flagfile=missing.flags", "missing.flags: there is no such file"),
        ("--flagfile=", "expected the path of a file"),
        ("--flagfile", "expected the path of a file"),
        ("--flagfile=\0", "expected the path of a file"),
        ('--fast\n"--name=x', "first.flags, line 2: a line that begins with a quotation mark"),
        ('"--name" "x"', "line 1: a line that begins with a quotation mark"),
        ("--flagfile=/dev/zero", "/dev/zero: not a plain file"),
        ("--flagfile=~nobody_has_this_name/x", "there is no such file"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(folder, text, message):
    with pytest.raises(InputError, match="--flagfile: ") as caught:
        expanded(folder, text)
    assert message in str(caught.value)


SEED = b'--name=a\n"--template=x\\ny"\n# c\n--flagfile=shared.flags\n--words=a,"b,c"\n'


def damaged(folder, cases: int) -> None:
    def read(data: bytes) -> list[str]:
        return expanded(folder, data)

    read_damaged(read, [SEED], cases=cases)


def test_damaged_files_are_read_or_refused(folder):
    damaged(folder, 1000)


@pytest.mark.soak
def test_many_damaged_files_are_read_or_refused(folder):
    damaged(folder, 20_000)
