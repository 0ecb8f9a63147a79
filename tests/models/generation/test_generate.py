"""Continuations are those of transformers, token for token, and depend on no other prompt."""

import dataclasses

import numpy as np
import pytest
import torch
import transformers

import fsl_jax
from fsl_jax.models import generate

pytestmark = pytest.mark.usefixtures("quick_compilation")

DECODER = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
}
SLIDING = {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]}
T5 = {
    "vocab_size": 40,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 4,
    "decoder_start_token_id": 0,
}
FAMILIES = {
    "llama": DECODER,
    "gpt2": {"vocab_size": 40, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64},
    "mistral": DECODER | {"sliding_window": 4},
    "qwen2": {key: value for key, value in DECODER.items() if key != "head_dim"},
    "qwen3": DECODER,
    "gemma2": DECODER | SLIDING | {"query_pre_attn_scalar": 8},
    "gemma3_text": DECODER | SLIDING | {"query_pre_attn_scalar": 8},
    "t5": T5,
}
PROMPTS = ["3 17 5 30 2", "11 8", "29 4 4 21 9 36 14 1 6"]
STOP_TOKENS = [5, 11, 23]
NEW = 12


@pytest.fixture(scope="module", params=FAMILIES)
def pair(request, tmp_path_factory, torch_reference, word_tokenizer):
    """A random model of transformers, and what we load from where it was saved."""
    config = transformers.AutoConfig.for_model(request.param, **FAMILIES[request.param])
    encoder = config.is_encoder_decoder
    auto = transformers.AutoModelForSeq2SeqLM if encoder else transformers.AutoModelForCausalLM
    model = torch_reference.randomise(auto.from_config(config, attn_implementation="eager"))
    directory = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(directory)
    word_tokenizer.save_pretrained(directory)
    return fsl_jax.load(str(directory)), model


@pytest.fixture(scope="module")
def tiny(tiny_models):
    """A tiny decoder that reads 64 tokens."""
    config = dataclasses.replace(tiny_models["llama"].config, max_length=64)
    module = dataclasses.replace(tiny_models["llama"].module, config=config)
    return dataclasses.replace(tiny_models["llama"], config=config, module=module)


def continue_in_torch(pretrained, model, prompts, ends, **options):
    """What transformers generates: tokens up to the one that ended them, and scores."""
    tokenizer = pretrained.tokenizer
    tokenizer.padding_side = "right" if model.config.is_encoder_decoder else "left"
    batch = tokenizer(prompts, padding=True, return_tensors="pt")
    with torch.no_grad():
        output = model.generate(
            batch["input_ids"],
            attention_mask=batch["attention_mask"],
            eos_token_id=ends,
            pad_token_id=0,
            do_sample=False,
            return_dict_in_generate=True,
            output_scores=True,
            **options,
        )
    start = 1 if model.config.is_encoder_decoder else batch["input_ids"].shape[1]
    beams = output.get("beam_indices")
    scores = model.compute_transition_scores(
        output.sequences, output.scores, beams, normalize_logits=beams is None
    ).numpy()
    found = []
    for row, sequence in enumerate(output.sequences[:, start:].tolist()):
        length = next((n for n, token in enumerate(sequence, 1) if token in ends), len(sequence))
        score = scores[row, :length].sum()
        found.append((sequence[:length], score if beams is None else output.sequences_scores[row]))
    return found


def assert_same(ours, theirs, ends, new):
    """The same tokens, scores and reasons."""
    flat = [each for continuations in ours for each in continuations]
    assert [list(each.tokens) for each in flat] == [tokens for tokens, _ in theirs]
    np.testing.assert_allclose(
        [each.score for each in flat], [float(score) for _, score in theirs], rtol=1e-4, atol=1e-4
    )
    for each in flat:
        assert each.ended == ("stop" if each.tokens[-1] in ends else "length")
        assert each.ended == "stop" or len(each.tokens) == new


OPTIONS = {
    "greedy": {},
    "beams": {"num_beams": 4, "num_return_sequences": 3},
    "long beams": {"num_beams": 3, "length_penalty": 2.0, "repetition_penalty": 1.3},
    "short beams": {"num_beams": 2, "num_return_sequences": 2, "length_penalty": -0.5},
    "penalty": {"repetition_penalty": 1.5},
}


@pytest.mark.parametrize("way", ["greedy", "beams"])
def test_continuations_are_those_of_transformers(pair, way):
    ours = generate(pair[0], PROMPTS, max_new_tokens=NEW, stop_tokens=STOP_TOKENS, **OPTIONS[way])
    theirs = continue_in_torch(*pair, PROMPTS, STOP_TOKENS, max_new_tokens=NEW, **OPTIONS[way])
    assert_same(ours, theirs, STOP_TOKENS, NEW)
