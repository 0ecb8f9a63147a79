"""The cases of the suite that every method passes: methods in formulations."""

import pytest

from fsl_jax.adapt import (
    IA3,
    AdaLoRA,
    BitFit,
    BottleneckAdapter,
    Full,
    Joined,
    LinearProbe,
    LNTuning,
    LoRA,
    PrefixTuning,
    PromptTuning,
    PTuning,
    PTuningV2,
    TopLayers,
    VeRA,
)

METHODS = {
    "full": (Full(),) * 4,
    "linear_probe": (LinearProbe(),) * 4,
    "top_layers": (TopLayers(1),) * 4,
    "bitfit": (BitFit(),) * 4,
    "ln_tuning": (LNTuning(),) * 4,
    "ia3": (IA3(),) * 4,
    "houlsby": tuple(BottleneckAdapter("houlsby", size, "gelu") for size in (5, 2, 3, 5)),
    "pfeiffer": tuple(BottleneckAdapter("pfeiffer", size) for size in (5, 4, 6, 3)),
    "parallel": tuple(
        BottleneckAdapter("parallel", size, "silu", scale)
        for size, scale in ((3, 4.0), (5, 1.0), (2, 0.5), (3, 4.0))
    ),
    "joined": tuple(
        Joined((LoRA(rank), BottleneckAdapter("parallel", size, "tanh")))
        for rank, size in ((4, 3), (2, 5), (1, 1), (3, 2))
    ),
    "lora": (LoRA(4), LoRA(2, alpha=3.0), LoRA(4), LoRA(1)),
    "dora": (
        LoRA(4, dora=True),
        LoRA(2, dora=True, layers="last 1", scaling="rslora"),
        LoRA(3, dora=True, learning_rate_ratio=4.0),
        LoRA(1, dora=True, layers="0"),
    ),
    "adalora": (AdaLoRA(4, 1), AdaLoRA(2, 1, alpha=3.0), AdaLoRA(3, 1), AdaLoRA(1, 1)),
    "vera": (VeRA(6), VeRA(3, initial=0.2), VeRA(5, projection_key=1), VeRA(1)),
    "pissa": (
        LoRA(4, start="pissa"),
        LoRA(2, alpha=3.0, start="pissa"),
        LoRA(3, start="pissa", layers="1"),
        LoRA(1, start="pissa", scaling="rslora"),
    ),
    "prompt_tuning": (
        PromptTuning(4),
        PromptTuning(2, start="random"),
        PromptTuning(3, start="labels"),
        PromptTuning(5, start="text", text="Topic w30"),
    ),
    "prompt_suffix": tuple(PromptTuning(length, position="suffix") for length in (4, 2, 3, 5)),
    "suffix_and_lora": tuple(
        Joined((LoRA(rank), PromptTuning(length, position="suffix")))
        for rank, length in ((4, 2), (2, 3), (1, 1), (3, 2))
    ),
    "prompt_and_lora": tuple(
        Joined((LoRA(rank), PromptTuning(length)))
        for rank, length in ((4, 2), (2, 3), (1, 1), (3, 5))
    ),
    "p_tuning": tuple(
        PTuning(length, hidden=hidden) for length, hidden in ((3, 4), (2, 5), (4, 6), (3, 3))
    ),
    "p_tuning_mlp": tuple(
        PTuning(length, "mlp", hidden) for length, hidden in ((3, 6), (2, 7), (4, 5), (1, 6))
    ),
    "prefix_tuning": tuple(
        PrefixTuning(length, hidden) for length, hidden in ((3, 6), (2, 7), (4, 5), (1, 6))
    ),
    "p_tuning_v2": tuple(map(PTuningV2, (3, 2, 4, 1))),
    "mam": tuple(
        Joined((PrefixTuning(length, 6), BottleneckAdapter("parallel", size, scale=4.0)))
        for length, size in ((3, 4), (2, 3), (4, 6), (1, 5))
    ),
}
FORMULATIONS = (
    "bert-head",
    "llama-head",
    "llama-template",
    "llama-words",
    "gpt2-template",
    "gemma2-template",
    "t5-head",
    "t5-words",
)
QUICK = (
    ("full", "bert-head"),
    ("linear_probe", "llama-head"),
    ("top_layers", "llama-words"),
    ("bitfit", "gpt2-template"),
    ("ln_tuning", "gpt2-template"),
    ("ia3", "bert-head"),
    ("houlsby", "bert-head"),
    ("pfeiffer", "llama-head"),
    ("parallel", "gpt2-template"),
    ("mam", "bert-head"),
    ("joined", "llama-template"),
    ("lora", "llama-template"),
    ("prompt_tuning", "llama-words"),
    ("prompt_suffix", "llama-words"),
    ("suffix_and_lora", "llama-head"),
    ("prompt_and_lora", "gpt2-template"),
    ("p_tuning", "llama-template"),
    ("p_tuning_mlp", "bert-head"),
    ("prefix_tuning", "gemma2-template"),
    ("p_tuning_v2", "gpt2-template"),
    ("dora", "bert-head"),
    ("pissa", "llama-head"),
    ("vera", "bert-head"),
    ("adalora", "llama-head"),
    ("lora", "t5-words"),
    ("vera", "t5-head"),
)


def applies(method, formulation):
    """A probe trains a head, BitFit biases that a family has, and a suffix follows in a decoder."""
    decoders = tuple(name for name in FORMULATIONS if not name.startswith(("bert", "t5")))
    allowed = {
        "prompt_suffix": decoders,
        "suffix_and_lora": decoders,
        "linear_probe": ("bert-head", "llama-head", "t5-head"),
        "bitfit": ("bert-head", "gpt2-template"),
    }
    return formulation in allowed.get(method, FORMULATIONS)


def cases(quick=QUICK, methods=tuple(METHODS)):
    """Parametrizes a test by all cases of some methods, of which only the quick ones are quick."""
    pairs = [(m, f) for m in methods for f in FORMULATIONS if applies(m, f)]
    marks = {pair: () if pair in quick else pytest.mark.soak for pair in pairs}
    params = [pytest.param(pair, id="-".join(pair), marks=marks[pair]) for pair in pairs]
    return pytest.mark.parametrize("case", params, indirect=True)
