import json

import pytest

from fsl_jax.errors import InputError
from fsl_jax.models import Continuation
from fsl_jax.studies.generations import Generated, describe, read_prompts, write_generations
from fsl_jax.studies.records.jsonl import read_records

CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]


def test_prompts_are_read_from_lines_and_from_objects(tmp_path):
    lines, objects = tmp_path / "prompts.txt", tmp_path / "prompts.jsonl"
    lines.write_text("one\n\ntwo\\nlines \n")
    assert read_prompts(str(lines)) == ["one", "two\nlines "]
    lines.write_bytes("one\u2028one\r\ntwo\x0ctwo\nthree\x85\rthree".encode())
    assert read_prompts(str(lines)) == ["one\u2028one", "two\x0ctwo", "three\x85\rthree"]
    objects.write_text("".join(json.dumps({"prompt": each}) + "\n" for each in ("one", CHAT)))
    assert read_prompts(str(objects)) == ["one", CHAT]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("prompts.txt", b"\n \n", "no prompts"),
        ("prompts.txt", b"\xff\xfe", "not UTF-8"),
        ("prompts.txt", b"one\ntw\xff", "line 2: not UTF-8"),
        ("prompts.csv", b"prompt\nx\n", "found .csv"),
        ("prompts.jsonl", b"", "no prompts"),
        ("prompts.jsonl", b'{"text": "a"}\n', "there is no 'prompt'; found text"),
        ("prompts.jsonl", b'{"prompt": "a"}\n{"prompt": 3}\n{\n', "line 2 is a value of type int"),
        ("prompts.jsonl", b'{"prompt": "a"}\n{"prompt": 3}\n{\n', "line 3: not valid JSON"),
        ("prompts.jsonl", b'{"prompt": [{"role": "user"}]}\n', "line 1 is .* no 'content'"),
        ("prompts.jsonl", b'{"prompt": "a"}\n{"prompt": "\\ud83d"}\n', "line 2 is .* surrogate"),
        ("prompts.jsonl", b'{"prompt": {"role": "user", "content": "a"}}\n', "line 1 is a single"),
        ("prompts.jsonl", b'{"prompt": []}\n', "line 1 is a conversation without messages"),
    ],
)
def test_files_that_hold_no_prompts_are_refused(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words):
        read_prompts(str(tmp_path / name))


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_prompts(str(tmp_path / "prompts.txt"))


def test_continuations_are_written_and_shown(tmp_path):
    found = [
        [Continuation(" there", -1.5, (3, 4), "stop")],
        [Continuation("", -0.25, (7,), "length")],
    ]
    write_generations(tmp_path / "out.jsonl", ["Hello", CHAT], found)
    records = read_records(tmp_path / "out.jsonl", Generated)
    assert [record.prompt for record in records] == ["Hello", CHAT]
    assert records[0].continuations == (
        {"text": " there", "score": -1.5, "tokens": [3, 4], "ended": "stop"},
    )
    shown = describe(["Hello", CHAT], found)
    assert "[1] Hello\n  → \n    (1 tokens, score -0.250, length)" in shown
