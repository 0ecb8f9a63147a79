import pytest
import torch
import transformers

import fsl_jax
from fsl_jax.models.generation.settings import GenerationSettings


@pytest.fixture(scope="session")
def greedy():
    """Valid settings, which tests change one by one."""
    return GenerationSettings(
        max_new_tokens=4,
        temperature=0.0,
        top_k=None,
        top_p=None,
        min_p=None,
        repetition_penalty=1.0,
        num_beams=1,
        length_penalty=1.0,
        num_return_sequences=1,
        stop=(),
        stop_tokens=(),
        chat=False,
        seed=0,
        batch_size=8,
    )


@pytest.fixture(scope="session")
def decoder_sizes():
    """Sizes of a tiny decoder of the Llama kind, under their names in transformers."""
    return {
        "vocab_size": 40,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 64,
    }


@pytest.fixture(scope="session")
def save_and_load(tmp_path_factory, torch_reference):
    """Makes a random model of transformers, and loads what it saves: ours, and theirs.

    No token ends what it writes, unless `eos_token_id` is given.
    """

    def make(family, tokenizer, untied=False, **sizes):
        config = transformers.AutoConfig.for_model(family, **{"eos_token_id": None} | sizes)
        encoder = config.is_encoder_decoder
        auto = transformers.AutoModelForSeq2SeqLM if encoder else transformers.AutoModelForCausalLM
        model = auto.from_config(config, attn_implementation="eager")
        if untied:
            # Release 5 of transformers ties the output embedding of mT5 whatever its config says.
            model.lm_head.weight = torch.nn.Parameter(torch.zeros(model.lm_head.weight.shape))
        model = torch_reference.randomise(model)
        directory = tmp_path_factory.mktemp(family)
        model.save_pretrained(directory)
        tokenizer.save_pretrained(directory)
        return fsl_jax.load(str(directory)), model

    return make


@pytest.fixture(scope="session")
def continue_in_torch():
    """Generate with transformers: tokens up to the one that ended them, and scores."""

    def run(pretrained, model, prompts, ends, **options):
        tokenizer = pretrained.tokenizer
        tokenizer.padding_side = "right" if model.config.is_encoder_decoder else "left"
        batch = tokenizer(prompts, padding=True, return_tensors="pt")
        with torch.no_grad():
            output = model.generate(
                batch["input_ids"],
                attention_mask=batch["attention_mask"],
                pad_token_id=0,
                return_dict_in_generate=True,
                output_scores=True,
                **{"do_sample": False, "eos_token_id": ends} | options,
            )
        start = 1 if model.config.is_encoder_decoder else batch["input_ids"].shape[1]
        sequences, beams = output.sequences[:, start:].tolist(), output.get("beam_indices")
        if beams is not None:
            lengths = (beams >= 0).sum(dim=1).tolist()
            scores = output.sequences_scores.tolist()
        else:
            lengths = [
                next((n for n, token in enumerate(each, 1) if token in ends), len(each))
                for each in sequences
            ]
            scores = model.compute_transition_scores(
                output.sequences, output.scores, normalize_logits=True
            ).numpy()
            scores = [score[:n].sum() for score, n in zip(scores, lengths, strict=True)]
        tokens = [each[:n] for each, n in zip(sequences, lengths, strict=True)]
        return list(zip(tokens, scores, strict=True))

    return run
