"""The models and adapters that vLLM serves; `test_exporting.py` tests the files."""

import pytest

from fsl_jax.adapt import IA3, LoRA
from fsl_jax.adapt.files.vllm import note_on_rank, notes_on_embeddings, reasons_to_merge
from fsl_jax.models.families.gpt2.model import GPT2Config
from fsl_jax.models.families.llama.model import LlamaConfig

SIZES = {"vocab_size": 8, "hidden_size": 4, "mlp_size": 4, "num_layers": 1, "num_heads": 1}
LLAMA = LlamaConfig(**SIZES, max_length=8, num_kv_heads=1, head_dim=4)
GPT2 = GPT2Config(**SIZES, max_length=8)


@pytest.mark.parametrize(("rank", "limit"), [(1, 1), (2, 8), (8, 8), (65, 128), (512, 512)])
def test_the_limit_of_ranks_is_the_next_one_that_vllm_has(rank, limit):
    assert f"--max-lora-rank={limit}," in note_on_rank(rank)


@pytest.mark.parametrize(
    ("method", "config", "in_peft_format", "reasons"),
    [
        (LoRA(512, scaling="rslora"), LLAMA, True, []),
        (LoRA(513), LLAMA, True, ["ranks up to 512, and this is 513"]),
        (LoRA(dora=True), LLAMA, True, ["no DoRA"]),
        (LoRA(), LLAMA, False, ["cannot hold this adapter"]),
        (IA3(), LLAMA, True, ["LoRA alone, and this is ia3"]),
        (IA3(), GPT2, True, ["no adapters for the family gpt2", "LoRA alone"]),
    ],
)
def test_every_reason_for_a_merged_model_is_told(method, config, in_peft_format, reasons):
    found = reasons_to_merge(method, config, in_peft_format)
    assert len(found) == len(reasons)
    assert all(reason in each for reason, each in zip(reasons, found, strict=True))


def test_a_head_that_is_left_out_is_said_to_be():
    assert len(notes_on_embeddings(None)) == 1
    assert "from adapters/lora." in notes_on_embeddings("adapters/lora")[1]
