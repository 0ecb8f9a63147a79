"""Small tokenizers of every kind, and directories that hold one with drawn settings."""

import functools
import json

import numpy as np
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

CORPUS = ["Hello world, the Café naïve cafés 世界 hello", "don't  do it. Topic: a1 b2"] * 3
TEXTS = [
    "Hello Café 世界",
    " hello  world . don't",
    "a<s>b </s> [MASK] x<new> y",
    "",
    "naïve\ncafés",
]
BRACKETS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ANGLES = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
T5_ANGLES = ["<pad>", "</s>", "<unk>", "<s>", "<mask>"]


@functools.cache
def tokenizer_json(kind):
    """Return the contents of `tokenizer.json` of a tokenizer of a kind."""
    return _BUILD[kind]().to_str()


def _wordpiece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=120, special_tokens=BRACKETS, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS + [text.lower() for text in CORPUS], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", [("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def _byte_level():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=ANGLES,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def _metaspace():
    vocabulary = {token: index for index, token in enumerate(["<unk>", "<s>", "</s>", "<pad>"])}
    for value in range(256):
        vocabulary[f"<0x{value:02X}>"] = len(vocabulary)
    for token in [*"▁Heloworldtcafé", "▁H", "ll", "▁w", "or", "▁a"]:
        vocabulary.setdefault(token, len(vocabulary))
    merges = [("▁", "H"), ("l", "l"), ("▁", "w"), ("o", "r"), ("▁", "a")]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A $B", [("<s>", 1)])
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    return tokenizer


def _unigram():
    pieces = [*"▁Heloworldtcafé", "▁He", "llo", "▁world", "▁caf", "s", ".", ","]
    vocabulary = [(token, 0.0) for token in T5_ANGLES] + [
        (piece, -float(index + 2)) for index, piece in enumerate(dict.fromkeys(pieces))
    ]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=2))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        "$A </s>", "$A </s> $B </s>", [("</s>", 1)]
    )
    tokenizer.add_special_tokens(T5_ANGLES)
    return tokenizer


def _word_level():
    words = [*ANGLES, "Hello", "hello", "world", "Topic", "a", "x", "."]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


_BUILD = {
    "wordpiece": _wordpiece,
    "byte_level": _byte_level,
    "metaspace": _metaspace,
    "unigram": _unigram,
    "word_level": _word_level,
}
KINDS = tuple(_BUILD)
# The kinds of each family; the first has the class that the family usually has.
FAMILY_KINDS = {
    "bert": ("wordpiece", "word_level"),
    "roberta": ("byte_level",),
    "xlm-roberta": ("unigram",),
    "distilbert": ("wordpiece",),
    "gpt2": ("byte_level", "word_level"),
    "llama": ("metaspace", "byte_level", "word_level", "unigram"),
    "mistral": ("metaspace", "byte_level"),
    "qwen2": ("byte_level",),
    "qwen3": ("byte_level", "word_level"),
    "gemma2": ("metaspace",),
    "gemma3_text": ("metaspace",),
    "t5": ("unigram",),
    "mt5": ("unigram",),
}
CLASSES = (
    "PreTrainedTokenizerFast",
    "TokenizersBackend",
    "PreTrainedTokenizer",
    "NoSuchTokenizer",
    "BertTokenizer",
    "BertTokenizerFast",
    "DistilBertTokenizer",
    "RobertaTokenizerFast",
    "XLMRobertaTokenizer",
    "GPT2Tokenizer",
    "GPT2TokenizerFast",
    "LlamaTokenizer",
    "LlamaTokenizerFast",
    "Qwen2TokenizerFast",
    "GemmaTokenizer",
    "T5TokenizerFast",
)
USUAL_CLASSES = {
    "wordpiece": CLASSES[:7],
    "byte_level": (*CLASSES[:4], "RobertaTokenizerFast", *CLASSES[9:14]),
    "metaspace": (*CLASSES[:4], "LlamaTokenizer", "LlamaTokenizerFast", "GemmaTokenizer"),
    "unigram": (*CLASSES[:4], "XLMRobertaTokenizer", "T5TokenizerFast"),
    "word_level": CLASSES[:4],
}
SETTINGS = {
    "do_lower_case": (True, False),
    "strip_accents": (True, False, None),
    "tokenize_chinese_chars": (True, False),
    "add_prefix_space": (True, False),
    "add_bos_token": (True, False),
    "add_eos_token": (True, False),
    "legacy": (True, False),
    "clean_up_tokenization_spaces": (True, False),
    "padding_side": ("left", "right"),
    "truncation_side": ("left", "right"),
    "model_max_length": (4, 512, 10**30),
    "model_input_names": (["input_ids", "attention_mask"],),
    "split_special_tokens": (True, False),
    "trim_offsets": (True, False),
    "extra_ids": (0, 2),
    "errors": ("replace",),
    "use_default_system_prompt": (False,),
    "spaces_between_special_tokens": (True, False),
    "name_or_path": ("somewhere/else",),
    "image_token": ("<new>",),
}
ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


def _token(draw, content, typed=True):
    """Draw the form of a special token: a text, or an object."""
    if draw.random() < 0.5:
        return content
    flags = ("lstrip", "rstrip", "normalized", "single_word")
    token = {"content": content} | {flag: bool(draw.random() < 0.4) for flag in flags}
    return token | ({"__type": "AddedToken"} if typed else {})


def _pick(draw, choices):
    return choices[int(draw.integers(len(choices)))]


def _drawn_settings(draw, kind, tokens):
    settings = {
        name: _pick(draw, values) for name, values in SETTINGS.items() if draw.random() < 0.35
    }
    if draw.random() < 0.8:
        choices = USUAL_CLASSES[kind] if draw.random() < 0.9 else CLASSES
        settings["tokenizer_class"] = _pick(draw, choices)
    for role in ROLES:
        if draw.random() < 0.5:
            settings[role] = _token(draw, _pick(draw, tokens))
    if draw.random() < 0.2:
        settings["pad_token"] = _token(draw, "<new>")
    for name in ("extra_special_tokens", "additional_special_tokens"):
        if draw.random() < 0.15:
            settings[name] = [_token(draw, "<new>"), _token(draw, "Topic")]
    if draw.random() < 0.1:
        settings["extra_special_tokens"] = {"image_token": "<new>"}
    return settings


def _added_tokens_decoder(draw, contents):
    """Return the added tokens of a tokenizer, and a new one with drawn flags."""
    decoder = {
        str(token["id"]): {name: value for name, value in token.items() if name != "id"}
        for token in contents["added_tokens"]
    }
    flags = ("lstrip", "rstrip", "normalized", "single_word", "special")
    new = {"content": "<new>"} | {flag: bool(draw.random() < 0.4) for flag in flags}
    return decoder | {str(len(contents["model"]["vocab"])): new}


def draw_files(seed):
    """Draw the files of a directory.

    Args:
      seed: the number of the directory.

    Returns:
      The contents of the files by name, and the name of the family.
    """
    draw = np.random.default_rng(seed)
    family = _pick(draw, tuple(FAMILY_KINDS))
    kind = _pick(draw, FAMILY_KINDS[family] if draw.random() < 0.95 else KINDS)
    contents = json.loads(tokenizer_json(kind))
    tokens = BRACKETS if kind == "wordpiece" else T5_ANGLES
    settings = _drawn_settings(draw, kind, tokens)
    values = {"model_type": family}
    if draw.random() < 0.1:
        values["tokenizer_class"] = _pick(draw, USUAL_CLASSES[kind][4:] or CLASSES[:1])
    if draw.random() < 0.25:
        settings["added_tokens_decoder"] = _added_tokens_decoder(draw, contents)
    files = {"config.json": values, "tokenizer.json": contents}
    if draw.random() < 0.25:
        files["special_tokens_map.json"] = {
            role: _token(draw, _pick(draw, tokens), typed=False)
            for role in ROLES
            if draw.random() < 0.4
        }
    if draw.random() < 0.2:
        files["added_tokens.json"] = {"<new>": len(contents["model"]["vocab"])}
    if draw.random() < 0.9:
        files["tokenizer_config.json"] = settings
    return {name: json.dumps(value) for name, value in files.items()}, family
