import re
from pathlib import Path

import pytest

from benchmarks.tasks.marks import TABLE
from benchmarks.tasks.models import FAMILIES
from benchmarks.tasks.table import ALL, NO, Reasons, cell, table
from benchmarks.tasks.trying import Combination, combinations, refusal, refusal_of_method

SUFFIX = "prompt_tuning(position='suffix')"
SOME = [
    (("classification", "template", "GPT-2"), ("zero_shot", "bitfit", "linear_probe", SUFFIX)),
    (("multiple_choice", "head", "BERT"), ("linear_probe", "icl", SUFFIX)),
    (("tagging", "head", "Llama"), ("lora", "bitfit", SUFFIX)),
    (("generation", "written", "T5"), ("prefix_tuning", "linear_probe", SUFFIX)),
]


def page_table():
    page = Path(__file__).parents[3] / "docs" / "tasks.md"
    _, _, after = page.read_text(encoding="utf-8").partition(TABLE[0])
    return after.partition(TABLE[1])[0].strip()


@pytest.fixture(scope="module")
def cells():
    """The cells of the page's table by combination."""
    rows = [line.strip("| ").split(" | ") for line in page_table().splitlines() if "`" in line]
    return {
        Combination(row[0].strip("`"), row[1].strip("`"), family): found
        for row in rows
        if len(row) == 2 + len(FAMILIES)
        for family, found in zip(FAMILIES, row[2:], strict=True)
    }


@pytest.fixture(scope="module")
def reasons():
    """The reasons below the page's table by letter, with the methods that they are given for."""
    found = re.findall(r"^- ([a-z]): ((?:`[^`]+`(?:, |: ))*)(.+)\.$", page_table(), re.MULTILINE)
    return {letter: (re.findall("`([^`]+)`", methods), why) for letter, methods, why in found}


def test_the_page_says_of_every_combination_whether_it_can_be_asked(cells, reasons):
    assert list(cells) == combinations()
    for combination, found in cells.items():
        why = refusal(combination)
        assert found.startswith(NO) == bool(why)
        if why:
            assert reasons[found[len(NO) + 2]] == ([], why)


@pytest.mark.parametrize(("combination", "methods"), SOME)
def test_the_page_says_of_methods_why_they_are_refused(cells, reasons, combination, methods):
    found = cells[Combination(*combination)]
    letters = found.removeprefix(ALL).removeprefix(" but ").split(", ")
    said = {method: why for each in letters for names, why in [reasons[each]] for method in names}
    for method in methods:
        assert refusal_of_method(Combination(*combination), method) == said.get(method, "")


def test_a_cell_has_a_letter_for_each_reason():
    reasons, of = Reasons(), Combination("classification", "head", "BERT")
    assert cell(of, reasons, ["lora"]) == ALL
    assert cell(of, reasons, ["zero_shot", "icl", SUFFIX]) == f"{ALL} but a, b"
    assert cell(of._replace(way="written"), reasons) == f"{NO} (c)"
    first, second, third = reasons.lines()
    assert first == "- a: `zero_shot`, `icl`: a head must be trained."
    assert second.startswith(f"- b: `{SUFFIX}`: BERT reads texts with an encoder")
    assert third.startswith("- c: BERT has no language model's logits")


@pytest.mark.soak
def test_the_page_has_the_whole_table():
    assert page_table() == table()
