"""P-tuning: prompts that a network computes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from peft import PromptEncoder, PromptEncoderConfig

from fsl_jax.adapt import PTuning, attach, load_adapter, save_adapter
from fsl_jax.adapt.tree import flatten
from fsl_jax.errors import InputError
from fsl_jax.training.stacked_runs import stack_padded

ENCODERS = ("lstm", "mlp")


def encoder_of(method, base):
    params = jax.jit(method.extend)(base.params, jax.random.key(0))
    word = {"prompt_mask": params["embeddings"]["word"]["prompt_mask"]}
    return {"prompt_encoder": params["prompt_encoder"], "embeddings": {"word": word}}


@pytest.mark.parametrize("encoder", ENCODERS)
def test_padded_to_a_larger_one_a_network_computes_and_learns_the_same(llama, encoder):
    small, large = (PTuning(length, encoder, hidden, 1) for length, hidden in ((2, 3), (4, 5)))
    trees = [encoder_of(method, llama) for method in (small, large)]
    both = stack_padded(trees)

    def gradients(tree):
        def total(tree):
            prompt = small.reparametrize(tree)["embeddings"]["word"]["prompt"]
            mask = tree["embeddings"]["word"]["prompt_mask"]
            return jnp.sum(jnp.square(prompt) * mask[:, None])

        return flatten(jax.grad(total)(tree)["prompt_encoder"])

    alone = [jax.jit(gradients)(tree) for tree in trees]
    stacked = jax.jit(jax.vmap(gradients))(both)
    for number, own in enumerate(alone):
        for path, leaf in own.items():
            found = stacked[path][number]
            inside = found[tuple(map(slice, leaf.shape))]
            np.testing.assert_allclose(inside, leaf, rtol=1e-4, atol=1e-5, err_msg=path)
            np.testing.assert_allclose(jnp.abs(found).sum(), jnp.abs(leaf).sum(), rtol=1e-4)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_what_the_network_computed_is_kept_and_the_network_dropped(llama, tmp_path, encoder):
    method = PTuning(3, encoder, 4, 1)
    tree = encoder_of(method, llama)
    expected = method.reparametrize(tree)["embeddings"]["word"]["prompt"]
    kept = method.finish({"prompt_encoder": tree["prompt_encoder"]})
    assert flatten(kept).keys() == {"embeddings/word/prompt"}
    save_adapter(tmp_path / "adapter", kept, method, llama, {})
    adapter = load_adapter(tmp_path / "adapter", llama)
    assert adapter.method == method
    assert "prompt_encoder" not in adapter.params
    np.testing.assert_allclose(adapter.params["embeddings"]["word"]["prompt"], expected, rtol=1e-6)


def test_settings_at_fault_are_named():
    with pytest.raises(InputError, match="hidden = 0: expected a whole number, from 1"):
        PTuning(hidden=0)
    with pytest.raises(InputError, match="lstm"):
        PTuning(encoder="ltsm")
    assert PTuning().structure != PTuning(encoder="mlp").structure
    assert PTuning(encoder="mlp").structure == PTuning(encoder="mlp", depth=1).structure


def test_an_lstm_begins_as_wide_as_pytorchs(llama):
    encoder = PromptEncoder(
        PromptEncoderConfig(
            num_virtual_tokens=2,
            token_dim=16,
            num_transformer_submodules=1,
            encoder_hidden_size=64,
            encoder_reparameterization_type="LSTM",
        )
    )
    expected = {
        name: parameter.abs().max().item() for name, parameter in encoder.named_parameters()
    }
    params, _ = attach(llama.params, PTuning(2, hidden=64), jax.random.key(0))
    found = flatten(params["prompt_encoder"])
    for ours, theirs in (
        ("lstm_0/forward/input", "lstm_head.weight_ih_l0"),
        ("lstm_0/forward/hidden", "lstm_head.weight_hh_l0"),
        ("lstm_1/backward/input", "lstm_head.weight_ih_l1_reverse"),
        ("first", "mlp_head.0.weight"),
    ):
        width = np.abs(found[f"{ours}/kernel"]).max()
        # Both are drawn uniformly, and the largest of thousands is near the bound.
        np.testing.assert_allclose(width, expected[theirs], rtol=0.01)
