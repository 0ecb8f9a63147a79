"""The models of the parity table: a tiny random model of every architecture."""

import transformers

# Unusual sizes, so that swapped axes cause an error.
WIDTH = {"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
VOCABULARY = 60
END_OF_TEXT = 1
LENGTH = 32
_ENCODER = {**WIDTH, "intermediate_size": 80, "vocab_size": VOCABULARY, "pad_token_id": 0}
_ENCODER |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "num_labels": 3}
_DECODER = {**WIDTH, "intermediate_size": 80, "vocab_size": VOCABULARY, "num_key_value_heads": 2}
_DECODER |= {"head_dim": 16, "max_position_embeddings": LENGTH}
_GPT2 = {"n_embd": 48, "n_layer": 3, "n_head": 4, "n_positions": LENGTH, "vocab_size": VOCABULARY}
_GPT2 |= {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "num_labels": 3}
_DISTILBERT = {"dim": 48, "n_layers": 3, "n_heads": 4, "hidden_dim": 80, "vocab_size": VOCABULARY}
_DISTILBERT |= {"max_position_embeddings": LENGTH, "num_labels": 3}
_DISTILBERT |= {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0}
_T5 = {"d_model": 48, "d_kv": 16, "d_ff": 80, "num_layers": 3, "num_heads": 4, "dropout_rate": 0.0}
_T5 |= {"vocab_size": VOCABULARY, "decoder_start_token_id": 0}
_CLASSES = {"num_labels": 3, "classifier_dropout": 0.0, "eos_token_id": END_OF_TEXT}
_WINDOW = {"sliding_window": 5}
_ROPE = {"rope_theta": 500.0}
_LLAMA3 = {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
_LLAMA3 |= {"original_max_position_embeddings": 16, **_ROPE}
_YARN = {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 16, **_ROPE}
_LINEAR = {"rope_type": "linear", "factor": 3.0, **_ROPE}
_LOCAL = {
    "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 900.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
}

MODELS: tuple[tuple[str, str, dict[str, object], str | None], ...] = (
    ("BertModel", "", {**_ENCODER, "max_position_embeddings": LENGTH}, None),
    ("BertForMaskedLM", "", {**_ENCODER, "max_position_embeddings": LENGTH}, "masked_lm"),
    (
        "BertForSequenceClassification",
        "",
        {**_ENCODER, "max_position_embeddings": LENGTH},
        "sequence_classification",
    ),
    (
        "BertForTokenClassification",
        "",
        {**_ENCODER, "max_position_embeddings": LENGTH},
        "token_classification",
    ),
    *(
        (f"{name}{head}", "", {**_ENCODER, "max_position_embeddings": LENGTH + 1}, kind)
        for name in ("Roberta", "XLMRoberta")
        for head, kind in (
            ("Model", None),
            ("ForMaskedLM", "masked_lm"),
            ("ForSequenceClassification", "sequence_classification"),
            ("ForTokenClassification", "token_classification"),
        )
    ),
    ("DistilBertModel", "", _DISTILBERT, None),
    ("DistilBertForMaskedLM", "", _DISTILBERT, "masked_lm"),
    ("DistilBertForSequenceClassification", "", _DISTILBERT, "sequence_classification"),
    ("DistilBertForTokenClassification", "", _DISTILBERT, "token_classification"),
    ("GPT2LMHeadModel", "", _GPT2, "causal_lm"),
    ("LlamaForCausalLM", "", _DECODER, "causal_lm"),
    ("LlamaForCausalLM", "linear rope scaling", {**_DECODER, "rope_parameters": _LINEAR}, None),
    ("LlamaForCausalLM", "llama3 rope scaling", {**_DECODER, "rope_parameters": _LLAMA3}, None),
    ("LlamaForCausalLM", "yarn rope scaling", {**_DECODER, "rope_parameters": _YARN}, None),
    (
        "LlamaForSequenceClassification",
        "",
        {**_DECODER, "num_labels": 3, "pad_token_id": 0},
        "sequence_classification",
    ),
    ("MistralForCausalLM", "sliding window", {**_DECODER, **_WINDOW}, None),
    (
        "Qwen2ForCausalLM",
        "sliding window above a layer",
        {**_DECODER, **_WINDOW, "use_sliding_window": True, "max_window_layers": 1},
        None,
    ),
    ("Qwen3ForCausalLM", "", _DECODER, None),
    ("Gemma2ForCausalLM", "", {**_DECODER, **_WINDOW, "query_pre_attn_scalar": 24}, None),
    (
        "Gemma3ForCausalLM",
        "",
        {**_DECODER, **_WINDOW, "query_pre_attn_scalar": 24, "sliding_window_pattern": 2}
        | {"rope_parameters": _LOCAL},
        None,
    ),
    ("T5ForConditionalGeneration", "1.0", {**_T5, "feed_forward_proj": "relu"}, None),
    (
        "T5ForConditionalGeneration",
        "1.1, FLAN-T5",
        {**_T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
        None,
    ),
    ("MT5ForConditionalGeneration", "", {**_T5, "tie_word_embeddings": False}, None),
    *(
        (f"{name}{ending}", "", {**_T5, "feed_forward_proj": "gated-gelu", **_CLASSES}, kind)
        for name in ("T5", "MT5")
        for ending, kind in (
            ("ForSequenceClassification", "sequence_classification"),
            ("ForTokenClassification", "token_classification"),
        )
    ),
)
"""Architecture, variant, config, and the head that the model is loaded with."""


def build(architecture: str, values: dict[str, object]) -> transformers.PreTrainedModel:
    """Make a model with random weights, including norms and biases."""
    import torch

    torch.manual_seed(0)
    # T5 does not scale its attention scores down. With larger weights the softmax would pick single
    # tokens, and rounding would decide which.
    scale = 0.1 if "T5" in architecture else 0.2
    kind = getattr(transformers, architecture)
    model = kind(kind.config_class(**values, attn_implementation="eager")).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            offset = 1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0
            parameter.copy_(offset + scale * torch.randn_like(parameter))
    return model
