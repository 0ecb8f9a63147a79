"""Tokenizers of every family, trained on sentences in many scripts."""

import functools
import io

import sentencepiece
from script_sentences import draw_sentences
from sentencepiece.sentencepiece_model_pb2 import ModelProto
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

SPECIAL = ["<pad>", "</s>", "<unk>", "<s>"]
SPLIT = r"\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""Such a rule splits text in the tokenizers of Llama 3 and Qwen."""


@functools.cache
def _corpus():
    return [" ".join(words) for words in draw_sentences(300, seed=1)]


def _train(tokenizer, trainer, **options):
    tokenizer.train_from_iterator(
        _corpus(), trainer(special_tokens=SPECIAL, show_progress=False, **options)
    )
    return tokenizer


def _closed(tokenizer, template="<s> $A </s>"):
    tokenizer.post_processor = processors.TemplateProcessing(
        template, special_tokens=[("<s>", 3), ("</s>", 1)]
    )
    return tokenizer


def _bert(**options):
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.BertNormalizer(**options)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return _closed(_train(tokenizer, trainers.WordPieceTrainer, vocab_size=600))


def _byte_level(first=None, normalizer=None, **options):
    tokenizer = Tokenizer(models.BPE())
    last = pre_tokenizers.ByteLevel(**options)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([first, last]) if first else last
    if normalizer:
        tokenizer.normalizer = normalizer
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return _train(tokenizer, trainers.BpeTrainer, vocab_size=400, initial_alphabet=alphabet)


def _gpt2():
    tokenizer = _byte_level(add_prefix_space=False)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def _gpt2_after_a_space():
    tokenizer = _byte_level(add_prefix_space=True)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def _roberta(add_prefix_space=False, trim_offsets=True):
    tokenizer = _byte_level(add_prefix_space=add_prefix_space)
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 1), ("<s>", 3), trim_offsets=trim_offsets, add_prefix_space=add_prefix_space
    )
    return tokenizer


def _qwen():
    split = pre_tokenizers.Split(Regex(SPLIT), "isolated")
    options = {"add_prefix_space": False, "use_regex": False}
    return _byte_level(split, normalizers.NFC(), **options)


@functools.cache
def _sentencepiece():
    """Train pieces, with the table of characters that T5 and XLM-R have."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([text.replace("\0", "") for text in _corpus()]),
        model_writer=model,
        model_type="unigram",
        vocab_size=2500,
        character_coverage=0.98,
        hard_vocab_limit=False,
        normalization_rule_name="nmt_nfkc",
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=3,
        minloglevel=2,
        num_threads=1,
    )
    return ModelProto.FromString(model.getvalue())


def _unigram(pre_tokenizer, *more):
    pieces = [(piece.piece, piece.score) for piece in _sentencepiece().pieces]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2))
    table = normalizers.Precompiled(_sentencepiece().normalizer_spec.precompiled_charsmap)
    tokenizer.normalizer = normalizers.Sequence([table, *more])
    tokenizer.pre_tokenizer = pre_tokenizer
    return tokenizer


def _t5():
    split = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    return _closed(_unigram(split), "$A </s>")


def _xlm_roberta():
    more = (normalizers.Strip(left=False), normalizers.Replace(Regex(" {2,}"), "▁"))
    return _closed(_unigram(pre_tokenizers.Metaspace(), *more))


def _llama(normalizer=None, pre_tokenizer=None, byte_fallback=True, pieces=500):
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    bytes_of_text = [f"<0x{value:02X}>" for value in range(256)]
    special = SPECIAL + (bytes_of_text if byte_fallback else [])
    trainer = trainers.BpeTrainer(
        vocab_size=pieces + len(special),
        limit_alphabet=200,
        special_tokens=special,
        show_progress=False,
    )
    trained.train_from_iterator(_corpus(), trainer)
    model = trained.model
    model.byte_fallback, model.fuse_unk = byte_fallback, True
    tokenizer = Tokenizer(model)
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    return _closed(tokenizer, "<s> $A")


def _llama_by_normalizer():
    rules = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    return _llama(normalizers.Sequence(rules))


_METASPACE = {"prepend_scheme": "first", "split": False}
_BUILD = {
    "bert cased": lambda: _bert(lowercase=False),
    "bert uncased": lambda: _bert(lowercase=True),
    "gpt2": _gpt2,
    "gpt2 after a space": _gpt2_after_a_space,
    "roberta": _roberta,
    "roberta after a space": lambda: _roberta(add_prefix_space=True),
    "roberta untrimmed": lambda: _roberta(add_prefix_space=True, trim_offsets=False),
    "qwen": _qwen,
    "t5": _t5,
    "xlm-roberta": _xlm_roberta,
    "llama": lambda: _llama(pre_tokenizer=pre_tokenizers.Metaspace(**_METASPACE)),
    "llama by normalizer": _llama_by_normalizer,
    "llama without bytes": lambda: _llama(
        pre_tokenizer=pre_tokenizers.Metaspace(**_METASPACE), byte_fallback=False
    ),
    "gemma": lambda: _llama(normalizers.Replace(" ", "▁")),
}
FAMILIES = tuple(_BUILD)


@functools.cache
def script_tokenizer(family):
    """Return a tokenizer that is built as those of a family are."""
    tokenizer = _BUILD[family]()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>")
