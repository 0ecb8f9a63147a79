"""Names made from user text: plain ones stay, and no two texts share a name anywhere."""

import itertools
import re

import hypothesis
import pytest
from hypothesis import strategies

from fsl_jax.outputs.names import MAX_BYTES, absolute, directory_name, file_system_key

HASH = re.compile(r"-[0-9a-f]{12}$")

DIFFERENT = [
    "lora", "LoRA", "Lora", "lora ", " lora", "lora.", "lora()", "lora(rank=4)", "lora(rank=8)",
    "lora( rank=4)", "lora_rank=4", "a/b", "a_b", "a\\b", "a b", "/a/b", "a/b/", "./a/b", "../a/b",
    "caf\u00e9", "cafe\u0301", "CAF\u00c9", "cafe", "stra\u00dfe", "strasse", "\ufb01ne", "fine",
    ".", "..", "...", "", " ", "con", "CON", "con.txt", "nul", "com1", "lpt9.x", "aux", "-", "~",
    "x" * 80, "x" * 81, "x" * 82, "\u6a21" * 80, "\u6a21" * 81, "\udcff", "\udcfe", "a\nb", "a\0b",
    "text='hello world?'", "text='hello world!'", "\u0131", "i", "I", "\u0130", "\u212a", "k",
]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "lora",
        "minilm-l6",
        "smollm2-135m",
        "seed_13",
        "lora+bitfit",
        "linear_probe",
        "v1.5",
        "x" * 80,
    ],
)
def test_a_plain_text_is_its_own_name(text):
    assert directory_name(text) == text


def test_what_can_be_kept_of_a_text_is_before_the_hash():
    names = [directory_name(text) for text in ("lora(rank=4)", "/models/Bert v2/", "模型", "..")]
    assert [HASH.sub("", name) for name in names] == ["lora_rank=4", "models_Bert_v2", "模型", "_"]
    assert all(map(HASH.search, names))


def test_texts_that_some_file_system_takes_for_the_same_have_different_names():
    keys = [file_system_key(directory_name(text)) for text in DIFFERENT]
    assert len(set(keys)) == len(DIFFERENT)


def test_a_text_that_looks_like_the_name_of_another_has_a_name_of_its_own():
    name = directory_name("lora(rank=4)")
    assert directory_name(name) != name


def check(text: str) -> None:
    for limit in (MAX_BYTES, 70):
        name = directory_name(text, limit)
        assert 1 <= len(name.encode()) <= limit
        assert re.fullmatch(r"[\w.=+-]+", name)
        assert not name.startswith((".", "-"))
        assert not name.endswith((".", " "))
        assert name.split(".")[0].lower() not in ("con", "nul", "aux", "prn", "com1", "lpt1")
        assert name in (text, name) if not HASH.search(name) else name != text


@hypothesis.given(strategies.text(strategies.characters(exclude_categories=()), max_size=300))
@hypothesis.settings(max_examples=300)
def test_every_name_is_short_and_safe(text):
    check(text)


def test_the_listed_names_are_short_and_safe_too():
    for text, ending in itertools.product(DIFFERENT, ("", ".", "/x", "é" * 60)):
        check(text + ending)


def test_a_path_is_made_absolute_without_following_links(tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to("/")
    monkeypatch.chdir(tmp_path)
    assert absolute("link/../a") == tmp_path / "a"
    assert absolute(tmp_path) == tmp_path
