"""Tiny models of each family, and a tokenizer for directories that tests save."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import transformers
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

import fsl_jax
from fsl_jax.models.families.bert.checkpoint import bert_tensor_map
from fsl_jax.models.families.bert.model import BertConfig
from fsl_jax.models.families.llama.checkpoint import llama_tensor_map
from fsl_jax.models.families.llama.model import LlamaConfig
from fsl_jax.models.tensors.writing import write_tensors
from fsl_jax.sharding import make_mesh, parameter_shardings

TINY = {
    "bert": BertConfig(
        vocab_size=40, hidden_size=32, mlp_size=48, num_layers=3, num_heads=4, max_length=24
    ),
    "llama": LlamaConfig(
        vocab_size=40,
        hidden_size=32,
        mlp_size=48,
        num_layers=3,
        num_heads=4,
        num_kv_heads=2,
        head_dim=8,
        max_length=24,
    ),
    "llama-untied": LlamaConfig(
        vocab_size=40,
        hidden_size=32,
        mlp_size=48,
        num_layers=3,
        num_heads=4,
        num_kv_heads=4,
        head_dim=16,
        max_length=24,
        tied=False,
    ),
}


@pytest.fixture(scope="session")
def word_tokenizer():
    """Forty words, of which the first two have a role."""
    words = {word: number for number, word in enumerate(["[PAD]", "[UNK]", *map(str, range(38))])}
    tokenizer = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")


@pytest.fixture(scope="session")
def tiny_models(build_tiny, word_tokenizer):
    """The tiny models by name."""
    return {name: build_tiny(config, word_tokenizer) for name, config in TINY.items()}


@pytest.fixture(params=["bert", "llama"])
def tiny(request, tiny_models):
    """A tiny model of each family."""
    return tiny_models[request.param]


@pytest.fixture
def tiny_bert(tiny_models):
    """The tiny encoder."""
    return tiny_models["bert"]


@pytest.fixture
def tiny_llama(tiny_models):
    """The tiny decoder."""
    return tiny_models["llama"]


@pytest.fixture
def tokens():
    """Tokens `[3, 7]` and their mask, right-padded, of lengths 7, 4 and 1."""
    ids = np.random.default_rng(0).integers(2, 40, (3, 7), dtype=np.int32)
    mask = np.arange(7)[None, :] < np.array([7, 4, 1])[:, None]
    return np.where(mask, ids, 0).astype(np.int32), mask


class TorchReference:
    """The PyTorch models of transformers, which ours have to agree with."""

    def randomise(self, model):
        """Draws every weight, biases and norms too, large enough to matter."""
        import torch

        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.2)
                if re.search(r"norm|ln_", name.lower()) and name.endswith("weight"):
                    weight.add_(1)
        return model.eval()

    def outputs(self, model, ids, mask):
        """The last hidden states and, where the model has them, the logits."""
        import torch

        positions = np.maximum(np.cumsum(mask, axis=1) - 1, 0)
        with torch.no_grad():
            output = model(
                input_ids=torch.tensor(ids, dtype=torch.long),
                attention_mask=torch.tensor(mask, dtype=torch.long),
                position_ids=torch.tensor(positions, dtype=torch.long),
                output_hidden_states=True,
            )
        logits = getattr(output, "logits", None)
        return output.hidden_states[-1].numpy(), None if logits is None else logits.numpy()

    def agreement(self, pretrained, model, table, ids, mask, positions=None):
        """Relative errors of the last output, and of the gradients of all weights.

        Args:
          pretrained: ours.
          model: theirs.
          table: the names by which our gradients become those of their weights.
          ids: `[B, T]`.
          mask: `[B, T]`.
          positions: `[B, T]`, which ours counts from the mask if they are not given.
        """
        import torch

        counted = np.maximum(np.cumsum(mask, axis=1) - 1, 0) if positions is None else positions
        counted = counted + getattr(pretrained.config, "first_position", 0)
        output = model(
            input_ids=torch.tensor(ids, dtype=torch.long),
            attention_mask=torch.tensor(mask, dtype=torch.long),
            position_ids=torch.tensor(counted, dtype=torch.long),
        )
        theirs = output["logits"] if "logits" in output else output["last_hidden_state"]
        weight = np.random.default_rng(2).standard_normal(theirs.shape).astype(np.float32)
        if theirs.ndim == 3:
            weight *= mask[:, :, None]
        (theirs * torch.tensor(weight)).sum().backward()

        def objective(params):
            found = pretrained.apply(params, ids, mask, position_ids=positions)
            ours = found.hidden if found.logits is None else found.logits
            return jnp.sum(ours * weight), ours

        (_, ours), gradients = jax.jit(jax.value_and_grad(objective, has_aux=True))(
            pretrained.params
        )
        real = weight != 0
        difference = np.abs(np.asarray(ours) - theirs.detach().numpy())[real].max()
        error = difference / np.abs(theirs.detach().numpy()[real]).max()
        ours = dict(write_tensors(flatten_dict(gradients, sep="/"), table))
        return error, self._gradient_error(ours, model)

    def _gradient_error(self, ours, model):
        theirs = {}
        # A weight that is tied has several names.
        for name, weight in model.named_parameters(remove_duplicate=False):
            if weight.grad is not None:
                theirs.setdefault(id(weight), (weight.grad.numpy(), []))[1].append(name)
        # Where a gradient is nothing but rounding, that of a key's bias, it is held to others.
        least = 1e-2 * max(np.abs(gradient).max() for gradient, _ in theirs.values())
        errors = []
        for gradient, names in theirs.values():
            (name,) = ours.keys() & set(names)
            difference = np.abs(ours[name] - gradient).max()
            errors.append(difference / max(least, np.abs(gradient).max()))
        return max(errors)

    def errors(self, pretrained, model, ids, mask):
        """Relative errors of our hidden states and logits at real tokens."""
        output = pretrained.apply(pretrained.params, ids, mask)
        pairs = zip((output.hidden, output.logits), self.outputs(model, ids, mask), strict=True)
        return [
            float(np.max(np.abs(ours[mask] - theirs[mask])) / np.max(np.abs(theirs[mask])))
            for ours, theirs in pairs
            if theirs is not None
        ]


@pytest.fixture(scope="session")
def torch_reference():
    """The PyTorch models of transformers."""
    return TorchReference()


@pytest.fixture(params=["left", "right"])
def padded_tokens(request, tokens):
    """The tokens and their mask, with the padding on either side."""
    ids, mask = tokens
    if request.param == "left":
        ids, mask = ids[:, ::-1].copy(), mask[:, ::-1].copy()
    return ids, mask


@pytest.fixture(scope="session")
def shapes_on_a_device():
    """The shape of each leaf's part on one of eight devices, from those of the leaves by path."""

    def parts(shapes):
        leaves = {path: jax.ShapeDtypeStruct(shape, jnp.float32) for path, shape in shapes.items()}
        shardings = parameter_shardings(unflatten_dict(leaves, sep="/"), make_mesh(model=8))
        return {
            path: sharding.shard_shape(shapes[path])
            for path, sharding in flatten_dict(shardings, sep="/").items()
        }

    return parts


@pytest.fixture(scope="session")
def mixed_tokens():
    """Tokens `[6, 7]` and their mask: of several lengths, padded on the left and on the right."""
    lengths = np.array([7, 4, 1])[:, None]
    right = np.arange(7)[None, :] < lengths
    mask = np.concatenate([right, right[:, ::-1]])
    ids = np.random.default_rng(0).integers(4, 40, mask.shape)
    return np.where(mask, ids, 0).astype(np.int32), mask


@pytest.fixture(scope="session")
def given_positions():
    """Positions of `mixed_tokens` that no counting gives: with gaps, backwards, and in no order."""
    ascending = 3 + 2 * np.arange(7)
    rows = [ascending, ascending[::-1], 5 + np.arange(7)]
    rows += list(np.random.default_rng(3).integers(0, 24, (3, 7)))
    return np.stack(rows).astype(np.int32)


@pytest.fixture(scope="session")
def special_tokenizer():
    """Forty words, of which the first four have a role."""
    roles = {"pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]"}
    roles["cls_token"] = "[CLS]"
    words = {word: number for number, word in enumerate([*roles.values(), *map(str, range(36))])}
    tokenizer = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **roles)


@pytest.fixture
def bert_directory(tmp_path, tiny_bert, word_tokenizer):
    """A directory that holds the tiny encoder, as Hugging Face saves it."""
    sizes = tiny_bert.config
    config = {
        "model_type": "bert",
        "vocab_size": sizes.vocab_size,
        "hidden_size": sizes.hidden_size,
        "intermediate_size": sizes.mlp_size,
        "num_hidden_layers": sizes.num_layers,
        "num_attention_heads": sizes.num_heads,
        "max_position_embeddings": sizes.max_length,
    }
    directory = tmp_path / "bert"
    word_tokenizer.save_pretrained(directory)
    (directory / "config.json").write_text(json.dumps(config))
    leaves = flatten_dict(tiny_bert.params, sep="/")
    tensors = {
        name: np.ascontiguousarray(tensor)
        for name, tensor in write_tensors(leaves, bert_tensor_map(sizes))
    }
    save_file(tensors, directory / "model.safetensors")
    return directory


@pytest.fixture(scope="session")
def smollm2():
    """The embedded language model."""
    return fsl_jax.load("smollm2-135m")


@pytest.fixture(scope="session")
def smollm2_in_torch(smollm2):
    """The same model in transformers, with our weights by the tensor map, read backwards."""
    import torch

    sizes = smollm2.config
    config = transformers.LlamaConfig(
        vocab_size=sizes.vocab_size,
        hidden_size=sizes.hidden_size,
        intermediate_size=sizes.mlp_size,
        num_hidden_layers=sizes.num_layers,
        num_attention_heads=sizes.num_heads,
        num_key_value_heads=sizes.num_kv_heads,
        max_position_embeddings=sizes.max_length,
        rope_parameters={"rope_type": "default", "rope_theta": sizes.rope_theta},
        rms_norm_eps=sizes.norm_epsilon,
        tie_word_embeddings=True,
    )
    leaves = flatten_dict(smollm2.params, sep="/")
    tensors = {
        name: torch.tensor(np.asarray(tensor))
        for name, tensor in write_tensors(leaves, llama_tensor_map(sizes))
    }
    with torch.device("meta"):
        model = transformers.LlamaForCausalLM(config)
    model.load_state_dict(tensors, strict=False, assign=True)
    model.tie_weights()
    model.model.rotary_emb = type(model.model.rotary_emb)(config)
    assert not [name for name, weight in model.named_parameters() if weight.is_meta]
    return model.eval()
