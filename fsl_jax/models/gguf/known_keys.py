"""The keys under an architecture's name that no family reads, and that change nothing.

All other keys that llama.cpp defines are read by the families that have them, and refused in files
of other families. llama.cpp lists its keys in `gguf-py/gguf/constants.py`
(https://github.com/ggml-org/llama.cpp).
"""

from collections.abc import Mapping
from typing import Any

HARMLESS: Mapping[str, str] = {
    "attention.layer_norm_epsilon": "the model has norms of the other kind",
    "attention.layer_norm_rms_epsilon": "the model has norms of the other kind",
    "context_length": "the position embedding has as many rows as there are positions",
    "pooling_type": "the head that a model is loaded with determines the pooling",
    "rope.scaling.finetuned": "llama.cpp only prints it",
    "rope.scaling.original_context_length": "only YaRN and LongRoPE need it; both are refused",
    "vocab_size": "the embedding has as many rows as there are tokens",
    # There are no experts: `expert_count` must be 0.
    "expert_chunk_feed_forward_length": "there are no experts",
    "expert_feed_forward_length": "there are no experts",
    "expert_gating_func": "there are no experts",
    "expert_group_count": "there are no experts",
    "expert_group_scale": "there are no experts",
    "expert_group_used_count": "there are no experts",
    "expert_shared_count": "there are no experts",
    "expert_shared_feed_forward_length": "there are no experts",
    "expert_used_count": "there are no experts",
    "expert_weights_norm": "there are no experts",
    "expert_weights_scale": "there are no experts",
    "experts_per_group": "there are no experts",
    "interleave_moe_layer_step": "there are no experts",
    "moe_every_n_layers": "there are no experts",
    "router_logit_softcapping": "there are no experts",
}
"""Keys whose values do not matter if no family reads them, with the reason."""

NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "attention.clamp_kqv": (0,),
    "attention.group_norm_epsilon": (0,),
    "attention.group_norm_groups": (0,),
    "attention.max_alibi_bias": (0,),
    "attention.output_scale": (0, 1),
    "attention.scale": (0,),
    "attention.shared_kv_layers": (0,),
    "attention.sliding_window": (0,),
    "attention.temperature_length": (0,),
    "attention.temperature_scale": (0,),
    "attn_logit_softcapping": (0,),
    "embedding_length_out": (0,),
    "embedding_scale": (0, 1),
    "expert_count": (0,),
    "final_logit_softcapping": (0,),
    "leading_dense_block_count": (0,),
    "logit_scale": (0, 1),
    "n_deepstack_layers": (0,),
    "nextn_predict_layers": (0,),
    "rescale_every_n_layers": (0,),
    "residual_scale": (0, 1),
    "rope.scaling.alpha": (0, 1),
    "rope.scaling.attn_factor": (1,),
    "swin_norm": (False,),
    "tensor_data_layout": ("reference",),
    "token_shift_count": (0,),
    "use_parallel_residual": (False,),
}
"""Keys that may only have values with which they change nothing; llama.cpp takes 0 for absent."""
