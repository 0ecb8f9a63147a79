"""The models of the peer: transformers' models with PEFT's methods, from the same weights."""

import tempfile
from collections.abc import Mapping

import numpy as np
import peft
import torch
import transformers

from benchmarks.peer_adalora import with_whole_ranks, zero_ranks
from benchmarks.prompt_networks import has_network, with_network
from benchmarks.workload import Workload
from fsl_jax.adapt.files.adapter_files import save_adapter
from fsl_jax.adapt.methods.bitfit import BitFit
from fsl_jax.adapt.methods.linear_probe import LinearProbe
from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.methods.top_layers import TopLayers
from fsl_jax.adapt.peft.kinds import KINDS
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.models.families.bert.model import BertConfig
from fsl_jax.models.families.llama.model import LlamaConfig
from fsl_jax.models.families.registry import FAMILIES
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.models.tensors.writing import write_tensors

Leaves = Mapping[str, np.ndarray]


def adapted(work: Workload, start: Leaves) -> torch.nn.Module:
    """Make the adapted model, in which only the method's parameters require gradients."""
    model = base_model(work.pretrained)
    model.requires_grad_(False)
    if has_network(work.method):
        model = with_network(model, work.method, start)
    elif has_peer(work.method):
        with tempfile.TemporaryDirectory() as directory:
            leaves = unflatten(with_whole_ranks(start))
            save_adapter(directory, leaves, work.method, work.pretrained, {})
            is_prompt = peft.PeftConfig.from_pretrained(directory).is_prompt_learning
            # PEFT loads a prompt for inference only, so its parameters are made trainable here.
            model = peft.PeftModel.from_pretrained(model, directory, is_trainable=not is_prompt)
            if is_prompt:
                model.prompt_encoder.requires_grad_(True)
            zero_ranks(model)
    elif isinstance(work.method, BitFit):
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name.endswith("bias"))
    elif isinstance(work.method, TopLayers):
        model.encoder.layer[-work.method.k :].requires_grad_(True)
    elif not isinstance(work.method, LinearProbe):
        raise ValueError(f"no counterpart of {work.method.name}")
    # No dropout on either side: `eval` turns it off.
    return model.eval()


def has_peer(method: Method) -> bool:
    """Return True if PEFT has the method, and trains the same parameters.

    Then an adapter's file has all of them, except for networks, which files leave out.
    """
    # PiSSA is saved as a LoRA of twice the rank, and PEFT would train the added half too.
    saved = type(method).finish is Method.finish and getattr(method, "start", "") != "pissa"
    return has_network(method) or (saved and any(type(method) is kind.method for kind in KINDS))


def base_model(pretrained: Pretrained) -> torch.nn.Module:
    """Make the model of transformers that has the weights of a pretrained model."""
    config = pretrained.config
    if isinstance(config, BertConfig):
        model: torch.nn.Module = transformers.BertModel(_bert(config), config.has_pooler)
    else:
        model = transformers.LlamaForCausalLM(_llama(config))
    table = FAMILIES[config.family].tensor_map(config)
    leaves = {
        path: np.asarray(leaf, np.float32) for path, leaf in flatten(pretrained.params).items()
    }
    tensors = {
        name if config.is_decoder else table.canonical(name): torch.tensor(tensor)
        for name, tensor in write_tensors(leaves, table)
    }
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    tied = {"lm_head.weight"} if config.is_decoder and config.tied else set()
    if unexpected or set(missing) - tied:
        raise ValueError(f"weights do not fit: missing {missing}, unexpected {unexpected}")
    return model


def _bert(config: BertConfig) -> transformers.BertConfig:
    return transformers.BertConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        intermediate_size=config.mlp_size,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        max_position_embeddings=config.max_length,
        type_vocab_size=config.num_token_types,
        layer_norm_eps=config.norm_epsilon,
    )


def _llama(config: LlamaConfig) -> transformers.LlamaConfig:
    return transformers.LlamaConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        intermediate_size=config.mlp_size,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        num_key_value_heads=config.num_kv_heads,
        head_dim=config.head_dim,
        max_position_embeddings=config.max_length,
        rope_theta=config.rope_theta,
        rms_norm_eps=config.norm_epsilon,
        tie_word_embeddings=config.tied,
    )
