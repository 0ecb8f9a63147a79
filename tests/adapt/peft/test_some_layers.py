"""IA3 and LN tuning on some layers of a stack, from PEFT and back: PEFT is the reference."""

import json

import jax
import numpy as np
import peft
import pytest
import torch
import transformers

from fsl_jax.adapt import load_adapter, save_peft
from fsl_jax.adapt.files.adapter_layout import CONFIG
from fsl_jax.adapt.tree import flatten
from fsl_jax.errors import InputError
from fsl_jax.models import export

pytestmark = [
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning"),
    pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to False:UserWarning"),
    pytest.mark.filterwarnings("ignore:Unsupported layer type:UserWarning"),
]

IDS = np.random.default_rng(0).integers(2, 60, (2, 6)).astype(np.int32)
MASK = np.array([[True] * 6, [True] * 4 + [False] * 2])
SOME = [
    (
        "bert",
        peft.IA3Config(
            target_modules=r".*layer\.0\..*(key|value)|.*layer\.1\.output\.dense",
            feedforward_modules=r".*\.output\.dense",
        ),
        ["layers/attention/key/ia3", "layers/attention/value/ia3", "layers/mlp/down/ia3_in"],
    ),
    (
        "gpt2",
        peft.IA3Config(
            target_modules=["c_attn", "mlp.c_proj"],
            feedforward_modules=["mlp.c_proj"],
            exclude_modules=["h.0.attn.c_attn"],
        ),
        [f"layers/attention/{name}/ia3" for name in ("key", "query", "value")]
        + ["layers/mlp/down/ia3_in"],
    ),
    (
        "t5",
        # What ends in `o` is `wo` too.
        peft.IA3Config(
            target_modules=["k", "o", "wo"],
            feedforward_modules=["o"],
            exclude_modules=r"encoder.*|decoder\.block\.[02]\..*|.*EncDecAttention.*",
        ),
        [
            f"decoder/layers/{name}"
            for name in ("attention/key/ia3", "attention/output/ia3_in", "mlp/down/ia3_in")
        ],
    ),
    (
        "llama",
        peft.LNTuningConfig(
            target_modules=["input_layernorm", "norm"],
            exclude_modules=["layers.1.input_layernorm"],
        ),
        ["final_norm/scale", "layers/attention/norm/scale"],
    ),
    (
        "bert",
        peft.LNTuningConfig(target_modules=r".*layer\.1\.output\.LayerNorm"),
        ["layers/mlp/norm/bias", "layers/mlp/norm/scale"],
    ),
]


@pytest.fixture
def plain_of(tiny_bases, tmp_path):
    """Makes the model of a family in transformers, with the same weights."""

    def make(family):
        kinds = {"bert": transformers.AutoModel, "t5": transformers.AutoModelForSeq2SeqLM}
        kind = kinds.get(family, transformers.AutoModelForCausalLM)
        if not (tmp_path / family).exists():
            export(tiny_bases[family], tmp_path / family)
        return kind.from_pretrained(tmp_path / family).eval()

    return make


def outputs_of_torch(model):
    read = {"input_ids": torch.tensor(IDS).long(), "attention_mask": torch.tensor(MASK).long()}
    if model.config.is_encoder_decoder:
        read["decoder_input_ids"] = read["input_ids"]
    with torch.no_grad():
        output = model(**read)
    states = output.logits if hasattr(output, "logits") else output.last_hidden_state
    return states.numpy()[MASK]


def outputs_of_ours(base, params):
    more = {"decoder_input_ids": IDS} if base.config.is_encoder_decoder else {}
    output = jax.jit(lambda params: base.apply(params, IDS, MASK, **more))(params)
    return np.asarray(output.hidden if output.logits is None else output.logits)[MASK]


def relative_error(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize(("family", "config", "leaves"), SOME)
def test_an_adapter_on_some_layers_goes_here_and_back(
    tiny_bases, plain_of, tmp_path, family, config, leaves, adapted_by_peft
):
    base = tiny_bases[family]
    theirs = adapted_by_peft(plain_of(family), config)
    theirs.save_pretrained(tmp_path / "theirs")
    expected = outputs_of_torch(theirs)
    assert relative_error(outputs_of_torch(plain_of(family)), expected) > 1e-2
    adapter = load_adapter(tmp_path / "theirs", base)
    assert sorted(path for path, mine in flatten(adapter.mask).items() if mine) == sorted(leaves)
    assert relative_error(outputs_of_ours(base, adapter.params), expected) < 1e-5
    save_peft(tmp_path / "ours", adapter.params, base, adapter.method)
    again = peft.PeftModel.from_pretrained(plain_of(family), str(tmp_path / "ours")).eval()
    assert relative_error(outputs_of_torch(again), expected) < 1e-5
    loaded = load_adapter(tmp_path / "ours", base)
    assert relative_error(outputs_of_ours(base, loaded.params), expected) < 1e-5


@pytest.mark.parametrize(
    ("config", "edited", "left_out"),
    [
        (
            peft.IA3Config(target_modules=["k", "v", "wo"], feedforward_modules=["wo"]),
            {"target_modules": ["k"], "feedforward_modules": []},
            "SelfAttention.v.ia3_l",
        ),
        (
            peft.LNTuningConfig(target_modules=["layer_norm", "final_layer_norm"]),
            {"target_modules": ["final_layer_norm"]},
            "layer.0.layer_norm.ln_tuning_layers.weight",
        ),
        (
            peft.LNTuningConfig(target_modules=["layer_norm"]),
            {"exclude_modules": r".*\.0\.layer_norm"},
            "layer.0.layer_norm.ln_tuning_layers.weight",
        ),
    ],
)
def test_tensors_that_peft_would_pass_over_are_named(
    tiny_bases, plain_of, tmp_path, config, edited, left_out, adapted_by_peft
):
    adapted_by_peft(plain_of("t5"), config).save_pretrained(tmp_path / "theirs")
    file = tmp_path / "theirs" / CONFIG
    file.write_text(json.dumps(json.loads(file.read_text()) | edited))
    name = f"base_model.model.encoder.block.1.{'' if 'layer.0' in left_out else 'layer.0.'}"
    with pytest.raises(InputError) as error:
        load_adapter(tmp_path / "theirs", tiny_bases["t5"])
    assert f"not known: {name}{left_out}, of a layer that is left out" in str(error.value)
    assert "missing" not in str(error.value)
