"""A dataclass becomes flags, and the parsed flags become the dataclass."""

import dataclasses

import pytest
from absl import flags

from experiments import dataclass_flags
from fsl_jax.errors import InputError
from fsl_jax.studies.planning.flag_field import flag_field, same_flag
from fsl_jax.studies.planning.study_config import StudyConfig


@dataclasses.dataclass(frozen=True)
class Every:
    """A field of every kind."""

    name: str = flag_field("A required text.")
    count: int = flag_field("A number.", 3)
    limit: int | None = flag_field("A number or none.", None)
    share: float = flag_field("A share.", 0.5)
    fast: bool = flag_field("A switch.", False)
    seeds: tuple[int, ...] = flag_field("Whole numbers.", (1, 2))
    words: tuple[str, ...] = flag_field("Texts.", ("a", "b"), name="terms")
    stop: tuple[str, ...] = flag_field("Given several times.", (), repeated=True, escaped=True)
    template: str | None = flag_field("With lines.", "one\ntwo", escaped=True)
    kind: str = flag_field("One of two.", "old", choices=("old", "new"))
    dtype: str = same_flag(StudyConfig, "dtype")


def parse(dataclass, *arguments):
    values = flags.FlagValues()
    dataclass_flags.define(dataclass, values)
    values(["script", *arguments])
    return dataclass_flags.parsed(dataclass, values), values


def test_defaults_are_those_of_the_dataclass():
    assert parse(Every, "--name=x")[0] == Every("x")
    assert parse(StudyConfig)[0] == StudyConfig()


def test_values_have_the_types_of_the_fields():
    given, _ = parse(
        Every,
        "--name=x",
        "--count=4",
        "--limit=5",
        "--share=1",
        "--fast",
        "--seeds=7, 8",
        "--terms=c,,d ",
        "--stop=x\\ny",
        "--stop=",
        "--template=three\\nfour",
        "--kind=new",
    )
    assert given == Every(
        "x", 4, 5, 1.0, True, (7, 8), ("c", "d"), ("x\ny", ""), "three\nfour", "new"
    )
    assert isinstance(given.share, float)


def test_a_flagfile_has_defaults_as_a_user_writes_them():
    values = parse(Every, "--name=x")[1]
    assert values["template"].serialize() == "--template=one\\ntwo"
    assert values["seeds"].serialize() == "--seeds=1,2"
    assert values["fast"].serialize() == "--nofast"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--name=x", "--seeds=1,two"], InputError, "--seeds: expected whole numbers, found"),
        (["--name=x", "--kind=older"], flags.IllegalFlagValueError, "should be one of <old|new>"),
        (["--name=x", "--dtype=int8"], flags.IllegalFlagValueError, "auto|float32|bfloat16"),
        (["--count=4"], flags.IllegalFlagValueError, "--name"),
    ],
)
def test_bad_values_are_refused(arguments, error, message):
    with pytest.raises(error) as caught:
        parse(Every, *arguments)
    assert message in str(caught.value)


def test_a_class_that_checks_its_choices_names_the_nearest():
    with pytest.raises(InputError, match=r"unknown dtype 'float23'\. Did you mean 'float32'"):
        parse(StudyConfig, "--dtype=float23")


def test_the_help_names_choices_and_scopes():
    values = parse(StudyConfig)[1]
    assert values["formulation"].help.startswith("<auto|head|template|written>: ")
    assert "before an entry" in values["steps"].help
    assert "before an entry" not in values["shots"].help
    assert values["mesh_runs"].default == 1
