"""Generating as a user does: from a command to a file, or to a message."""

import json

import pytest


@pytest.fixture
def generate(run_to_end, llama_directory):
    """Runs the script to its end: status, output, errors."""

    def run(*flags, run_script=run_to_end):
        return run_script("generate", f"--model={llama_directory}", *flags)

    return run


def test_the_script_prints_continuations_and_writes_them(generate, run_cold, tmp_path):
    output = tmp_path / "out" / "continuations.jsonl"
    prompts = ("--prompt=match goal team", "--prompt=virus planet")
    ways = ("--temperature=1", "--top_k=9", "--num_return_sequences=2", "--seed=3", "--stop=coach")
    flags = (*prompts, *ways, "--max_new_tokens=7", f"--output={output}")
    status, out, err = generate(*flags, run_script=run_cold)
    assert status == 0, err
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert [line["prompt"] for line in lines] == ["match goal team", "virus planet"]
    for line in lines:
        assert len(line["continuations"]) == 2
        for each in line["continuations"]:
            assert f"→ {each['text']}\n" in out
            assert len(each["tokens"]) == 7 or each["ended"] == "stop"
            assert each["score"] < 0


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--prompt", "match", "goal"), "arguments: goal. Put quotation marks"),
        ((), "there is no prompt: give --prompt"),
        (("--prompt=match", "--prompts=prompts.txt"), "choose one of the two"),
    ],
)
def test_a_command_without_the_prompts_it_needs_is_refused(generate, flags, words):
    status, out, err = generate(*flags)
    assert (status, out) == (2, "")
    assert words in err
    assert len(err.strip().splitlines()) == 1


def test_what_cannot_be_used_is_said_without_a_traceback(generate, tmp_path):
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"prompt": ""}\n{"prompt": "match"}\n')
    output = tmp_path / "out.jsonl"
    status, out, err = generate(
        f"--prompts={prompts}", "--max_new_tokens=300", "--num_beams=0", f"--output={output}"
    )
    assert (status, out) == (2, "")
    assert "Traceback" not in err
    for words in ("num_beams = 0", "prompt 0 has no tokens", "prompt 1 has 1 tokens"):
        assert words in err
    assert not output.exists()
