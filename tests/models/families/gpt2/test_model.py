import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers

import fsl_jax
from fsl_jax.errors import InputError
from fsl_jax.models import export
from fsl_jax.models.families.gpt2.checkpoint import gpt2_tensor_map
from fsl_jax.models.families.gpt2.model import GPT2Config
from fsl_jax.models.families.registry import parameter_shapes


@pytest.fixture(scope="module", params=["tied", "untied"])
def tiny_pair(request, tmp_path_factory, torch_reference, word_tokenizer):
    """Return a random model of transformers after saving and loading it here, and itself."""
    config = transformers.GPT2Config(
        vocab_size=40,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=24,
        n_inner=None if request.param == "tied" else 48,
        bos_token_id=2,
        eos_token_id=2,
        tie_word_embeddings=request.param == "tied",
        attn_implementation="eager",
    )
    model = torch_reference.randomise(transformers.GPT2LMHeadModel(config))
    directory = tmp_path_factory.mktemp("gpt2")
    model.save_pretrained(directory)
    word_tokenizer.save_pretrained(directory)
    return fsl_jax.load(str(directory)), model


@pytest.mark.parametrize("positions", ["counted", "given"])
def test_logits_and_gradients_agree(
    tiny_pair, torch_reference, mixed_tokens, given_positions, positions
):
    pretrained, model = tiny_pair
    ids, mask = mixed_tokens
    model.zero_grad()
    inputs = (pretrained, model, gpt2_tensor_map(pretrained.config), ids, mask)
    given = given_positions if positions == "given" else None
    assert max(torch_reference.agreement(*inputs, given)) < 1e-5


def test_the_longest_sequence_agrees_and_a_longer_one_is_an_error(tiny_pair):
    ids = np.random.default_rng(0).integers(4, 40, (1, 25), dtype=np.int32)
    mask = np.ones((1, 25), bool)
    pretrained, model = tiny_pair
    found = pretrained.apply(pretrained.params, ids[:, :24], mask[:, :24]).logits
    with torch.no_grad():
        expected = model(torch.tensor(ids[:, :24])).logits
    assert np.abs(found - expected.numpy()).max() < 1e-5 * expected.abs().max()
    with pytest.raises(InputError, match=r"25 tokens are more than .* 24\."):
        pretrained.apply(pretrained.params, ids, mask)


@pytest.mark.parametrize("tiny_pair", ["tied"], indirect=True)
def test_two_segments_and_a_trunk_are_the_same_model(tiny_pair, mixed_tokens):
    pretrained, _ = tiny_pair
    params = pretrained.params
    below, above = (
        jax.tree.map(lambda leaf, part=part: leaf[part], params["layers"])
        for part in (slice(0, 1), slice(1, 2))
    )

    @jax.jit
    def outputs(params):
        cut = params | {"layers": below, "top_layers": above}
        trunk = pretrained.trunk(cut, *mixed_tokens)
        return (
            pretrained.apply(params, *mixed_tokens),
            pretrained.apply(cut, *mixed_tokens),
            pretrained.apply(cut, *mixed_tokens, trunk=trunk),
        )

    whole, cut, rest = outputs(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), whole, cut)
    np.testing.assert_allclose(rest.logits, whole.logits, atol=2e-5)


@pytest.mark.parametrize("tiny_pair", ["tied"], indirect=True)
@pytest.mark.parametrize("rows", [1, 6])
def test_a_prefix_gives_the_logits_of_the_full_pass(tiny_pair, mixed_tokens, rows):
    pretrained, _ = tiny_pair
    ids, mask = mixed_tokens
    before = np.random.default_rng(1).integers(4, 40, (rows, 4), dtype=np.int32)
    real = np.arange(4)[None, :] < np.array([4, 2, 3, 1, 4, 4])[:rows, None]
    full_ids = np.concatenate([np.tile(before, (6 // rows, 1)), ids], axis=1)
    full_mask = np.concatenate([np.tile(real, (6 // rows, 1)), mask], axis=1)

    @jax.jit
    def outputs(params):
        prefix = pretrained.apply(params, before, real).key_values
        output = pretrained.apply(params, ids, mask, prefix=prefix)
        return output, pretrained.apply(params, full_ids, full_mask)

    output, full = outputs(pretrained.params)
    np.testing.assert_allclose(output.logits[mask], full.logits[:, 4:][mask], atol=1e-4)
    keys, full_keys = output.key_values.keys, full.key_values.keys[:, :, 4:]
    np.testing.assert_allclose(keys[:, mask], full_keys[:, mask], atol=1e-4)


@pytest.mark.parametrize("tiny_pair", ["tied"], indirect=True)
def test_dropout_changes_with_its_key_alone(tiny_pair, mixed_tokens):
    pretrained, _ = tiny_pair

    @jax.jit
    def hidden(params, key):
        return pretrained.apply(params, *mixed_tokens, dropout=0.3, key=key, unembed=False).hidden

    one, other = (hidden(pretrained.params, jax.random.key(seed)) for seed in (0, 1))
    np.testing.assert_array_equal(one, hidden(pretrained.params, jax.random.key(0)))
    assert jnp.any(one != other)


def test_the_output_embedding_is_in_the_tree_where_it_is_not_tied(tiny_pair):
    pretrained, _ = tiny_pair
    assert pretrained.config.tied == ("unembedding" not in pretrained.params)
    assert pretrained.config.mlp_size == (128 if pretrained.config.tied else 48)


def test_names_without_the_prefix_are_known(tiny_pair, tmp_path, word_tokenizer):
    """As the first checkpoints had them, with their buffers."""
    from safetensors.numpy import save_file

    pretrained, model = tiny_pair
    tensors = {
        name.removeprefix("transformer."): weight.numpy(force=True)
        for name, weight in model.named_parameters()
    }
    tensors |= {f"h.{layer}.attn.bias": np.ones((1, 1, 24, 24)) for layer in range(2)}
    model.config.save_pretrained(tmp_path)
    word_tokenizer.save_pretrained(tmp_path)
    save_file({k: tensor.copy() for k, tensor in tensors.items()}, tmp_path / "model.safetensors")
    again = fsl_jax.load(str(tmp_path))
    for name in ("query", "key", "value"):
        kernels = [
            each.params["layers"]["attention"][name]["kernel"] for each in (again, pretrained)
        ]
        np.testing.assert_array_equal(*kernels)


def test_transformers_loads_what_is_exported_and_so_do_we(tiny_pair, tmp_path):
    pretrained, model = tiny_pair
    directory = export(pretrained, tmp_path / "out")
    again = type(model).from_pretrained(directory)
    for name, weight in model.named_parameters():
        np.testing.assert_array_equal(again.get_parameter(name).detach(), weight.detach())
    assert fsl_jax.load(str(directory)).config == pretrained.config


def test_heads_have_to_divide_the_width():
    with pytest.raises(InputError, match="5 heads"):
        GPT2Config(40, hidden_size=32, mlp_size=48, num_layers=1, num_heads=5, max_length=8)


@pytest.mark.parametrize(
    ("width", "layers", "heads", "parameters"),
    [(768, 12, 12, 124_439_808), (1600, 48, 25, 1_557_611_200)],
)
def test_full_sizes_have_the_parameters_of_what_was_published(
    width, layers, heads, parameters, shapes_on_a_device
):
    config = GPT2Config(50257, width, 4 * width, layers, heads, max_length=1024)
    shapes = parameter_shapes(config)
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == parameters
    assert shapes_on_a_device(shapes)["layers/mlp/up/kernel"] == (layers, width, width // 2)
