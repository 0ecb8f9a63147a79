"""The tokens that a checkpoint names end what is generated, as in transformers."""

import json
import shutil

import pytest
import torch
import transformers

import fsl_jax
from fsl_jax.models import generate

PROMPTS = ["3 17 5 30 2", "11 8", "29 4 4 21 9 36 14 1 6"]
NEW = 16


@pytest.fixture(scope="module")
def saved(save_and_load, word_tokenizer, decoder_sizes):
    """The directory of a model that writes what it likes."""
    return save_and_load("llama", word_tokenizer, **decoder_sizes)[0].name


@pytest.fixture
def directory(saved, tmp_path):
    """A copy of that directory, with what its two configs say of the end put in."""

    def make(config, generation):
        copy = shutil.copytree(saved, tmp_path / "model")
        for name, ends in (("config.json", config), ("generation_config.json", generation)):
            values = json.loads((copy / name).read_text()) | {"eos_token_id": ends}
            (copy / name).write_text(json.dumps(values | {"temperature": 0.7, "top_k": 3}))
        return copy

    return make


def continue_in_torch(directory):
    """Continue the prompts greedily in transformers, with the ends that the directory names."""
    model = transformers.AutoModelForCausalLM.from_pretrained(directory)
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    found = []
    for prompt in PROMPTS:
        batch = tokenizer([prompt], return_tensors="pt")
        with torch.no_grad():
            rows = model.generate(
                batch["input_ids"],
                attention_mask=batch["attention_mask"],
                max_new_tokens=NEW,
                do_sample=False,
                pad_token_id=0,
                temperature=None,
                top_k=None,
            )
        found.append(rows[0, batch["input_ids"].shape[1] :].tolist())
    return found


def test_any_of_the_ends_that_a_checkpoint_names_ends(saved, directory):
    whole = [
        list(each.tokens) for [each] in generate(fsl_jax.load(saved), PROMPTS, max_new_tokens=NEW)
    ]
    first, second = whole[0][5], whole[1][3]
    copy = directory(config=whole[0][1], generation=[first, second])
    pretrained = fsl_jax.load(str(copy))
    assert pretrained.end_tokens == tuple(sorted((first, second)))
    ours = generate(pretrained, PROMPTS, max_new_tokens=NEW)
    assert [list(each.tokens) for [each] in ours] == continue_in_torch(copy)
    assert {ours[0][0].tokens[-1], ours[1][0].tokens[-1]} == {first, second}
    assert [each.ended for [each] in ours[:2]] == ["stop", "stop"]


def test_the_tokenizers_end_counts_where_the_checkpoint_names_none(saved, directory):
    whole = generate(fsl_jax.load(saved), PROMPTS[:1], max_new_tokens=NEW)[0][0].tokens
    copy = directory(config=None, generation=None)
    path = copy / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token": str(whole[4] - 2)}))
    pretrained = fsl_jax.load(str(copy))
    assert (pretrained.end_tokens, pretrained.tokenizer.eos_token_id) == ((), whole[4])
    [[found]] = generate(pretrained, PROMPTS[:1], max_new_tokens=NEW)
    assert found.tokens == whole[: whole.index(whole[4]) + 1]
