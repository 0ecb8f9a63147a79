"""Tiny models of transformers in GGUF files, written as llama.cpp's converter writes them."""

import gguf
import numpy as np
import pytest
import torch
import transformers
from tokenizers.pre_tokenizers import ByteLevel

import fsl_jax
from fsl_jax.models.families.registry import gguf_layouts, parameter_shapes

SIZES = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 24,
    "attn_implementation": "eager",
}
DECODER = {
    "embedding_length": 32,
    "feed_forward_length": 48,
    "block_count": 3,
    "attention.head_count": 4,
    "attention.head_count_kv": 2,
    "context_length": 24,
    "attention.layer_norm_rms_epsilon": 1e-6,
}
LLAMA_NAMES = {
    "embed_tokens": "token_embd",
    "norm": "output_norm",
    "lm_head": "output",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
GEMMA_NAMES = LLAMA_NAMES | {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
}


def renamed(state, names, top="model.", layers="model.layers."):
    """Tensors under the names of llama.cpp, `blk.N.` before those of a layer."""
    for name, tensor in state.items():
        module, _, kind = name.rpartition(".")
        block = ""
        if name.startswith(layers):
            number, _, module = module.removeprefix(layers).partition(".")
            block = f"blk.{number}."
        yield f"{block}{names[module.removeprefix(top)]}.{kind}", tensor.numpy()


def interleaved(tensor, heads):
    """The rows of each head, one of its first half and one of its second in turn."""
    return tensor.reshape(heads, 2, -1, tensor.shape[1]).swapaxes(1, 2).reshape(tensor.shape)


def llama_tensors(state):
    for name, tensor in renamed(state, LLAMA_NAMES):
        heads = {"attn_q": 4, "attn_k": 2}.get(name.split(".")[-2])
        yield name, tensor if heads is None else interleaved(tensor, heads)


def qwen_tensors(state):
    head_norms = {"self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm"}
    return renamed(state, LLAMA_NAMES | head_norms)


def gemma_tensors(state):
    for name, tensor in renamed(state, GEMMA_NAMES):
        if name != "output.weight":
            yield name, tensor + 1 if name.endswith("norm.weight") else tensor


GPT2_NAMES = {
    "wte": "token_embd",
    "wpe": "position_embd",
    "ln_f": "output_norm",
    "lm_head": "output",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
    "ln_1": "attn_norm",
    "ln_2": "ffn_norm",
}


def gpt2_tensors(state):
    for name, tensor in renamed(state, GPT2_NAMES, "transformer.", "transformer.h."):
        transposed = name.startswith("blk.") and name.endswith(".weight")
        yield name, tensor.T if transposed else tensor


def byte_level_metadata(writer):
    """The first forty of the tokens of bytes, of which the last begins and ends texts."""
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([*sorted(ByteLevel.alphabet())[:38], "!!", "<|endoftext|>"])
    writer.add_token_types([1] * 39 + [3])
    writer.add_token_merges(["! !"])
    writer.add_eos_token_id(39)


def sentencepiece_metadata(writer):
    """Forty tokens, of which three have a role."""
    writer.add_tokenizer_model("llama")
    writer.add_token_list(["<unk>", "<s>", "</s>", *(chr(97 + number) for number in range(37))])
    writer.add_token_scores([float(-number) for number in range(40)])
    writer.add_token_types([2, 3, 3] + [1] * 37)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)


def write(path, architecture, metadata, tensors, tokenizer=sentencepiece_metadata):
    """A GGUF file; the kinds of numbers are those of the converter."""
    writer = gguf.GGUFWriter(path, architecture)
    for key, value in metadata.items():
        add = {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}
        add |= {list: writer.add_array, bool: writer.add_bool}
        add[type(value)](f"{architecture}.{key}", value)
    tokenizer(writer)
    for name, tensor in tensors:
        writer.add_tensor(name, np.ascontiguousarray(tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return str(path)


GEMMA = {"head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 4}
GEMMA_KEYS = {
    "attention.key_length": 16,
    "attention.value_length": 16,
    "attention.sliding_window": 4,
}
SOFT = {"attn_logit_softcapping": 20.0, "final_logit_softcapping": 10.0}
LINEAR = {"rope_type": "linear", "factor": 4.0, "rope_theta": 500.0}
KINDS = ["sliding_attention"] * 2 + ["full_attention"]
# Of each: architecture, model, its config, the metadata of the file, its tensors.
DECODERS = {
    "llama": ("llama", "Llama", {"rms_norm_eps": 1e-6}, {"rope.dimension_count": 8}, llama_tensors),
    "mistral": (
        "llama",
        "Mistral",
        {"rms_norm_eps": 1e-6, "sliding_window": 4, "tie_word_embeddings": False},
        {"attention.sliding_window": 4},
        llama_tensors,
    ),
    "qwen2": ("qwen2", "Qwen2", {"rms_norm_eps": 1e-6}, {}, qwen_tensors),
    "qwen3": ("qwen3", "Qwen3", {"rms_norm_eps": 1e-6, "head_dim": 8}, {}, qwen_tensors),
    "gemma2": ("gemma2", "Gemma2", {**GEMMA, **SOFT}, {**GEMMA_KEYS, **SOFT}, gemma_tensors),
    "gemma3": (
        "gemma3",
        "Gemma3",
        {
            **GEMMA,
            "layer_types": KINDS,
            "rope_parameters": {
                "full_attention": LINEAR,
                "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
            },
        },
        {
            **GEMMA_KEYS,
            "rope.freq_base": 500.0,
            "rope.scaling.type": "linear",
            "rope.scaling.factor": 4.0,
            "attention.sliding_window_pattern": [True, True, False],
        },
        gemma_tensors,
    ),
    "gpt2": (
        "gpt2",
        "GPT2",
        {"n_inner": 48},
        {"attention.layer_norm_epsilon": 1e-5, "attention.head_count_kv": 4},
        gpt2_tensors,
        byte_level_metadata,
    ),
    "gpt2-untied": (
        "gpt2",
        "GPT2",
        {"n_inner": 48, "tie_word_embeddings": False},
        {"attention.layer_norm_epsilon": 1e-5, "attention.head_count_kv": 4},
        gpt2_tensors,
        byte_level_metadata,
    ),
}


OTHER_MODELS = {"GPT2": "GPT2LMHeadModel"}


def reference(name, changes, randomise):
    text = "Text" if name == "Gemma3" else ""
    config = getattr(transformers, f"{name}{text}Config")(**{**SIZES, **changes})
    return randomise(getattr(transformers, OTHER_MODELS.get(name, f"{name}ForCausalLM"))(config))


def difference(pretrained, model, tokens, mask):
    """Return the largest difference of the logits of real tokens, relative to the largest logit."""
    with torch.no_grad():
        theirs = model(
            input_ids=torch.tensor(tokens, dtype=torch.long),
            attention_mask=torch.tensor(mask, dtype=torch.long),
        ).logits.numpy()
    ours = np.asarray(pretrained.apply(pretrained.params, tokens, mask).logits)
    return np.abs(ours - theirs)[mask].max() / np.abs(theirs[mask]).max()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FSL_JAX_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def right_padded():
    """Tokens `[3, 9]` and their mask."""
    mask = np.arange(9)[None, :] < np.array([9, 6, 1])[:, None]
    ids = np.random.default_rng(0).integers(3, 40, mask.shape)
    return np.where(mask, ids, 0).astype(np.int32), mask


def saved(path, name, randomise):
    """A model of transformers, and the file that holds it."""
    architecture, family, changes, keys, tensors, *tokenizer = DECODERS[name]
    model = reference(family, changes, randomise)
    state = model.state_dict()
    if model.config.tie_word_embeddings:
        del state["lm_head.weight"]
    return model, write(path, architecture, {**DECODER, **keys}, tensors(state), *tokenizer)


@pytest.mark.parametrize("name", DECODERS)
def test_decoders_give_the_logits_of_transformers(name, tmp_path, right_padded, torch_reference):
    model, path = saved(tmp_path / "model.gguf", name, torch_reference.randomise)
    pretrained = fsl_jax.load(path)
    assert pretrained.config.family == model.config.model_type
    assert difference(pretrained, model, *right_padded) < 1e-5
    names = gguf_layouts()[DECODERS[name][0]].tensor_map(pretrained.config).rules
    assert sorted(each.path for each in names) == sorted(parameter_shapes(pretrained.config))


BERT_NAMES = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm",
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
    "attention.q_lin": "attn_q",
    "attention.k_lin": "attn_k",
    "attention.v_lin": "attn_v",
    "attention.out_lin": "attn_output",
    "sa_layer_norm": "attn_output_norm",
    "ffn.lin1": "ffn_up",
    "ffn.lin2": "ffn_down",
    "output_layer_norm": "layer_output_norm",
}
ENCODER = {
    "embedding_length": 32,
    "feed_forward_length": 48,
    "block_count": 3,
    "attention.head_count": 4,
    "context_length": 24,
    "attention.layer_norm_epsilon": 1e-12,
    "attention.causal": False,
    "pooling_type": 1,
}
ENCODERS = {
    "bert": ("Bert", {}, "encoder.layer."),
    "distilbert": ("DistilBert", {"hidden_dim": 48}, "transformer.layer."),
    "roberta": ("Roberta", {"pad_token_id": 1, "type_vocab_size": 1}, "encoder.layer."),
}


def wordpiece_metadata(writer):
    """Forty tokens, of which five have a role."""
    writer.add_tokenizer_model("bert")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    writer.add_token_list([*special, *(chr(97 + number) for number in range(35))])
    writer.add_token_types([3] * 5 + [1] * 35)


@pytest.mark.parametrize("name", ENCODERS)
def test_encoders_give_the_states_of_transformers(name, tmp_path, right_padded, torch_reference):
    family, changes, layers = ENCODERS[name]
    config = getattr(transformers, f"{family}Config")(**{**SIZES, **changes})
    model = torch_reference.randomise(getattr(transformers, f"{family}Model")(config))
    # The converter leaves the pooler out.
    state = {name: each for name, each in model.state_dict().items() if "pooler" not in name}
    if name == "roberta":
        # Positions are counted on from the number of the padding token.
        positions = "embeddings.position_embeddings.weight"
        state[positions] = state[positions][2:]
    tensors = renamed(state, BERT_NAMES, "", layers)
    pretrained = fsl_jax.load(
        write(tmp_path / "model.gguf", "bert", ENCODER, tensors, wordpiece_metadata)
    )
    tokens, mask = right_padded
    with torch.no_grad():
        theirs = model(torch.tensor(tokens), torch.tensor(mask)).last_hidden_state.numpy()
    ours = np.asarray(pretrained.apply(pretrained.params, tokens, mask).hidden)
    assert pretrained.config.family == {"roberta": "bert"}.get(name, name)
    assert np.abs(ours - theirs)[mask].max() / np.abs(theirs[mask]).max() < 1e-5


T5_NAMES = {"SelfAttention": "attn", "EncDecAttention": "cross_attn", "DenseReluDense": "ffn"}
T5_MAPS = {"wi": "up", "wi_0": "gate", "wi_1": "up", "wo": "down"}
T5_KEYS = {
    "embedding_length": 32,
    "feed_forward_length": 48,
    "block_count": 3,
    "decoder_block_count": 2,
    "attention.head_count": 4,
    "attention.key_length": 8,
    "attention.value_length": 8,
    "attention.relative_buckets_count": 8,
    "attention.layer_norm_epsilon": 1e-6,
    "attention.layer_norm_rms_epsilon": 1e-6,
    "context_length": 24,
    "decoder_start_token_id": 0,
}
T5_MODELS = {
    "t5": {"feed_forward_proj": "relu", "tie_word_embeddings": True},
    "t5-untied": {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
}


def t5_tensors(state):
    top = {"shared": "token_embd", "lm_head": "output"}
    for name, tensor in state.items():
        stack, *inside = name.removesuffix(".weight").split(".")
        if stack in top:
            yield f"{top[stack]}.weight", tensor.numpy()
        elif inside == ["final_layer_norm"]:
            yield f"{stack[:3]}.output_norm.weight", tensor.numpy()
        elif inside[0] == "block":
            _, number, _, place, module, *part = inside
            parts = {"encoder": ["attn", "ffn"], "decoder": ["attn", "cross_attn", "ffn"]}[stack]
            kind = T5_NAMES.get(module, parts[int(place)])
            own = T5_MAPS.get(part[0], part[0][0]) if part else "norm"
            own = "rel_b" if part == ["relative_attention_bias"] else own
            yield f"{stack[:3]}.blk.{number}.{kind}_{own}.weight", tensor.numpy()


def unigram_metadata(writer):
    """Forty tokens, of which three have a role."""
    writer.add_tokenizer_model("t5")
    writer.add_token_list(["<pad>", "</s>", "<unk>", *(chr(97 + number) for number in range(37))])
    writer.add_token_scores([0.0] * 3 + [-2.0] * 37)
    writer.add_token_types([3, 3, 2] + [1] * 37)
    writer.add_eos_token_id(1)
    writer.add_pad_token_id(0)


@pytest.mark.parametrize("name", T5_MODELS)
def test_encoder_decoders_give_the_logits_of_transformers(
    name, tmp_path, right_padded, torch_reference
):
    config = transformers.T5Config(
        vocab_size=40,
        d_model=32,
        d_ff=48,
        d_kv=8,
        num_layers=3,
        num_decoder_layers=2,
        num_heads=4,
        relative_attention_num_buckets=8,
        decoder_start_token_id=0,
        **T5_MODELS[name],
    )
    model = torch_reference.randomise(transformers.T5ForConditionalGeneration(config))
    state = model.state_dict()
    if config.scale_decoder_outputs:
        del state["lm_head.weight"]
    else:
        # The config says all the same that it is tied.
        model.lm_head.weight = torch.nn.Parameter(torch.randn(40, 32))
        state["lm_head.weight"] = model.lm_head.weight.detach()
    pretrained = fsl_jax.load(
        write(tmp_path / "model.gguf", "t5", T5_KEYS, t5_tensors(state), unigram_metadata)
    )
    tokens, mask = right_padded
    answer = np.int32([[0, 5, 6, 7], [0, 9, 3, 4], [0, 30, 31, 32]])
    with torch.no_grad():
        inputs = [torch.tensor(each, dtype=torch.long) for each in (tokens, mask, answer)]
        theirs = model(inputs[0], inputs[1], decoder_input_ids=inputs[2]).logits.numpy()
    params = pretrained.params
    ours = np.asarray(pretrained.apply(params, tokens, mask, decoder_input_ids=answer).logits)
    assert np.abs(ours - theirs).max() / np.abs(theirs).max() < 1e-5
    assert pretrained.config.tied == config.scale_decoder_outputs
    assert pretrained.end_tokens == (1,)
