"""Tiny classifiers of transformers, adapted by PEFT, with their logits."""

import dataclasses
import pathlib

import numpy as np
import pytest

CLASSES = {
    "SEQ_CLS": "ForSequenceClassification",
    "TOKEN_CLS": "ForTokenClassification",
    "QUESTION_ANS": "ForQuestionAnswering",
    "CAUSAL_LM": "ForCausalLM",
}
HEADS = {
    "SEQ_CLS": "sequence_classification",
    "TOKEN_CLS": "token_classification",
    "QUESTION_ANS": "token_classification",
    "CAUSAL_LM": None,
}
LABELS = ("east", "north", "west")

# The last token ends the sequence, which the classifiers of some families look for.
IDS = np.array([[12, 13, 14, 40, 41, 1], [21, 25, 9, 11, 17, 1]], np.int32)

_SIZES = {
    "vocab_size": 64,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 40,
}
_LLAMA = _SIZES | {"num_key_value_heads": 2}
_QWEN = _LLAMA | {"head_dim": 8}
_GPT2 = {"vocab_size": 64, "n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 40}
_DISTILBERT = {"vocab_size": 64, "dim": 16, "hidden_dim": 24, "n_layers": 2, "n_heads": 4}
_T5 = {"vocab_size": 64, "d_model": 16, "d_ff": 24, "num_layers": 2, "num_heads": 4, "d_kv": 4}
FAMILIES = {
    "Bert": _SIZES,
    "Roberta": _SIZES,
    "XLMRoberta": _SIZES,
    "DistilBert": _DISTILBERT | {"max_position_embeddings": 40},
    "GPT2": _GPT2,
    "Llama": _LLAMA,
    "Mistral": _LLAMA,
    "Qwen2": _LLAMA,
    "Qwen3": _QWEN,
    "Gemma2": _QWEN,
    "Gemma3Text": _QWEN,
    "T5": _T5 | {"decoder_start_token_id": 0},
    "MT5": _T5 | {"decoder_start_token_id": 0},
}
_ENCODER_TARGETS = ["query", "value", "intermediate.dense"]
_TARGETS = {
    "Bert": _ENCODER_TARGETS,
    "Roberta": _ENCODER_TARGETS,
    "XLMRoberta": _ENCODER_TARGETS,
    "DistilBert": ["q_lin", "v_lin", "lin1"],
    "GPT2": ["c_attn", "mlp.c_fc"],
    "T5": ["q", "v", "wo"],
    "MT5": ["q", "v", "wo"],
}
_PROMPT = {"num_virtual_tokens": 3, "num_layers": 2, "token_dim": 16, "num_attention_heads": 4}


def peft_config(kind, family, task, **changes):
    """The config of a kind of adapter for a family and a task."""
    import peft

    targets = _TARGETS.get(family, ["q_proj", "v_proj", "down_proj"])
    layers = {"task_type": task, "target_modules": targets}
    match kind:
        case "lora":
            return peft.LoraConfig(r=2, **(layers | changes))
        case "dora":
            return peft.LoraConfig(r=2, use_dora=True, use_rslora=True, **(layers | changes))
        case "adalora":
            budget = {"init_r": 4, "target_r": 2, "total_step": 10}
            return peft.AdaLoraConfig(**budget, **(layers | changes))
        case "vera":
            return peft.VeraConfig(r=4, **(layers | changes))
        case "ia3":
            layers["feedforward_modules"] = [] if family == "GPT2" else targets[2:]
            return peft.IA3Config(**(layers | changes))
        case "ln_tuning":
            norms = r".*(norm|Norm|ln_1|ln_2|ln_f)"
            return peft.LNTuningConfig(task_type=task, **({"target_modules": norms} | changes))
        case "prompt_tuning":
            return peft.PromptTuningConfig(task_type=task, **(_PROMPT | changes))
        case "p_tuning":
            return peft.PromptEncoderConfig(
                task_type=task, encoder_hidden_size=8, **(_PROMPT | changes)
            )
        case "prefix_tuning":
            return peft.PrefixTuningConfig(task_type=task, **(_PROMPT | changes))
    raise ValueError(kind)


@dataclasses.dataclass(frozen=True)
class PeftClassifier:
    """An adapter that PEFT saved, and its logits `[B, …, C]` for `IDS`."""

    base: pathlib.Path
    adapter: pathlib.Path
    logits: np.ndarray
    model: object


@pytest.fixture
def peft_classifier(tmp_path, eos_tokenizer, adapted_by_peft):
    """Saves a tiny model, and an adapter of it that PEFT made and that does something."""
    import torch
    import transformers

    def make(kind, family, task, *, plain=False, sizes=None, **changes):
        torch.manual_seed(0)
        names = dict(enumerate(("a", "b") if task == "QUESTION_ANS" else LABELS))
        tokens = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}
        values = FAMILIES[family] | tokens | {"id2label": names} | (sizes or {})
        config = getattr(transformers, f"{family}Config")(**values)
        model = getattr(transformers, family + CLASSES[task])(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.15 * torch.randn_like(parameter))
        saved = model.base_model if plain else model
        saved.save_pretrained(tmp_path / "base")
        eos_tokenizer.save_pretrained(tmp_path / "base")
        adapted = adapted_by_peft(model, peft_config(kind, family, task, **changes))
        adapted.save_pretrained(str(tmp_path / "adapter"))
        ids = torch.tensor(IDS).long()
        with torch.no_grad():
            output = adapted(input_ids=ids, attention_mask=torch.ones_like(ids))
        if task == "QUESTION_ANS":
            logits = torch.stack([output.start_logits, output.end_logits], -1)
        else:
            logits = output.logits
        return PeftClassifier(tmp_path / "base", tmp_path / "adapter", logits.numpy(), adapted)

    return make


@pytest.fixture(scope="session")
def eos_tokenizer():
    """One token a word, with an end token after each text and a CLS token before it."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    words = ["[PAD]", "[EOS]", "[BOS]", "[UNK]", "[CLS]", "[MASK]", *LABELS]
    words += [f"w{number}" for number in range(64 - len(words))]
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [EOS]", special_tokens=[("[CLS]", 4), ("[EOS]", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        eos_token="[EOS]",
        bos_token="[BOS]",
        cls_token="[CLS]",
        sep_token="[EOS]",
        mask_token="[MASK]",
    )
