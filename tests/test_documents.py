"""The documents: the folders that they draw, and the files and links that they name."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "benchmarks" / "README.md"]
PACKAGES = ("experiments", "fsl_jax", "notebooks", "tests", "benchmarks")


def drawn_folders() -> list[str]:
    """The folders of the sketch in the design, by the indentation of its lines."""
    text = (ROOT / "docs" / "design.md").read_text()
    sketch = text.split("<!-- layers -->")[1].split("<!-- end of layers -->")[0]
    above: list[str] = []
    folders = []
    for indent, name in re.findall(r"^( *)(\w+)/", sketch, re.MULTILINE):
        above = [*above[: len(indent) // 2], name]
        folders.append("/".join(above))
    return folders


def test_the_sketch_of_the_layers_has_all_folders_and_no_others():
    modules = [*ROOT.glob("fsl_jax/**/__init__.py")]
    there = {str(module.parent.relative_to(ROOT)) for module in modules}
    drawn = drawn_folders()
    assert {each for each in drawn if each.startswith("fsl_jax")} == there
    assert len(drawn) == len(set(drawn))
    assert {each for each in drawn if "/" not in each} == set(PACKAGES)


def without_code_blocks(document: pathlib.Path) -> str:
    return re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_a_document_names_are_there(document):
    text = without_code_blocks(document)
    named = re.findall(r"`([\w./]+/[\w.]+\.(?:py|md|toml|txt|flags))`", text)
    # Modules are named from the package on: `models/blocks/dense.py`.
    missing = [
        name
        for name in named
        if not (ROOT / name).exists() and not (ROOT / "fsl_jax" / name).exists()
    ]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_a_document_lead_somewhere(document):
    links = re.findall(r"\]\(([^)\s]+)\)", without_code_blocks(document))
    local = [link for link in links if "://" not in link]
    for link in local:
        name, _, anchor = link.partition("#")
        target = document.parent / name if name else document
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            assert anchor in {
                heading.lower().replace(",", "").replace(" ", "-") for heading in headings
            }
