"""The pinned versions and their hashes agree, and name no registry."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
# On systems that the project is not tested on.
ELSEWHERE = {"httpx2-jsfetch", "nest-asyncio"}


def pins(name):
    """The versions in a requirements file, and the number of hashes of each, by package."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if re.match(r"\w", line)]
    found = {}
    for line in lines:
        package, version = re.match(r"([\w.-]+)==([^\s;]+)", line).groups()
        found[re.sub(r"[._-]+", "-", package.lower())] = (version, line.count("--hash=sha256:"))
    return found


def test_the_hashes_are_those_of_the_pinned_set():
    pinned, hashed = pins("requirements.txt"), pins("requirements-hashes.txt")
    assert hashed.keys() - pinned.keys() == ELSEWHERE, "after a change of the set: make hashes"
    assert {name: hashed[name][0] for name in pinned} == {
        name: version for name, (version, _) in pinned.items()
    }, "after a change of the set: make hashes"


@pytest.mark.parametrize(
    "name", ["requirements-hashes.txt", "requirements-demo.txt", "requirements-tools.txt"]
)
def test_everything_has_a_hash(name):
    assert pins(name)
    assert all(hashes for _, hashes in pins(name).values())


def test_there_are_files_for_linux_and_macos():
    """A release with machine code has a file for each system and Python, so a dozen at least."""
    for name in ("jaxlib", "numpy", "tokenizers", "tensorstore"):
        assert pins("requirements-hashes.txt")[name][1] >= 8


@pytest.mark.parametrize("path", sorted(ROOT.glob("requirements*.txt")), ids=lambda path: path.name)
def test_no_registry_is_named(path):
    assert not re.search(r"://|index-url|find-links|trusted-host", path.read_text())
