"""The seam between context and continuation is that of lm-evaluation-harness."""

import dataclasses
import itertools

import pytest
from tokenizer_kinds import tokenizer_json
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from fsl_jax.errors import InputError
from fsl_jax.incontext.requests import Request, RequestTokens, tokenize_requests

CONTEXTS = ["Hello world", "Hello world ", "don't \n", "a1 caf", "<s>Hello", "</s> a", ""]
CONTINUATIONS = [" hello", "hello", "ld", "é", " do it.", "s Hello", "<s>a", " ", "</s>"]
# The kind of tokenizer, its special tokens, and what it adds: nothing, a beginning, or an end.
TOKENIZERS = {
    "byte-level": ("byte_level", {"eos_token": "</s>"}),
    "byte-level with a first token": ("byte_level", {"bos_token": "<s>", "eos_token": "</s>"}),
    "SentencePiece that adds <s>": ("metaspace", {"bos_token": "<s>", "eos_token": "</s>"}),
    "SentencePiece that adds </s>": ("unigram", {"eos_token": "</s>"}),
}


@pytest.fixture(scope="module")
def with_tokenizer(tiny_bases):
    """Makes a model that reads the tokens of a tokenizer."""

    def make(name, family="gpt2"):
        kind, roles = TOKENIZERS[name]
        backend = Tokenizer.from_str(tokenizer_json(kind))
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **roles)
        config = dataclasses.replace(tiny_bases[family].config, vocab_size=len(tokenizer))
        return dataclasses.replace(tiny_bases[family], config=config, tokenizer=tokenizer)

    return make


def defined(tokenizer, joined, context, continuation):
    """The definition of lm-evaluation-harness 0.4.13, for one request at a time."""
    first = tokenizer.eos_token_id if tokenizer.bos_token is None else tokenizer.bos_token_id

    def encode(text, **options):
        if not options and text.startswith(tokenizer.decode(first)):
            options = {"add_special_tokens": False}
        return tokenizer.encode(text, **options)

    if not context:
        ids = encode(continuation, add_special_tokens=False)
        return ([first], ids) if ids[:1] != [first] else (ids[:1], ids[1:])
    spaces = len(context) - len(context.rstrip())
    if spaces:
        context, continuation = context[:-spaces], context[-spaces:] + continuation
    before = encode(context)
    if joined:
        return before, encode(context + continuation)[len(before) :]
    return before, encode(continuation, add_special_tokens=False)


@pytest.mark.parametrize("family", ["gpt2", "t5"])
@pytest.mark.parametrize("name", TOKENIZERS)
def test_the_seam_is_that_of_the_harness(with_tokenizer, name, family):
    pretrained, joined = with_tokenizer(name, family), family != "t5"
    expected = {
        Request(*pair): defined(pretrained.tokenizer, joined, *pair)
        for pair in itertools.product(CONTEXTS, CONTINUATIONS)
    }
    empty = [request for request, (_, after) in expected.items() if not after]
    good = [request for request in expected if request not in empty]
    found = tokenize_requests(pretrained, good, 512)
    for request, tokens in zip(good, found, strict=True):
        before, after = expected[request]
        assert tokens == RequestTokens(tuple(before), tuple(after)), request
    for request in empty:
        with pytest.raises(InputError, match="no tokens of its own"):
            tokenize_requests(pretrained, [request], 512)
    assert len(empty) < len(good) / 2


def test_white_space_at_the_end_of_a_context_is_scored(with_tokenizer):
    pretrained = with_tokenizer("byte-level")
    requests = [Request("Hello ", "world"), Request("Hello", " world"), Request("Hello", "world")]
    moved, plain, joined = tokenize_requests(pretrained, requests, 512)
    assert moved == plain
    assert pretrained.tokenizer.decode(moved.continuation) == " world"
    assert joined.continuation != moved.continuation


def test_token_ids_are_taken_as_they_are(with_tokenizer):
    pretrained = with_tokenizer("SentencePiece that adds <s>")
    requests = [
        Request((5, 6), (7, 8)),
        Request((5, 6), "Hello "),
        Request("Hello ", (7, 8)),
        Request("", (7, 8)),
        Request("", (1, 8)),
    ]
    encode = pretrained.tokenizer.encode
    assert tokenize_requests(pretrained, requests, 512) == [
        RequestTokens((5, 6), (7, 8)),
        RequestTokens((5, 6), tuple(encode("Hello ", add_special_tokens=False))),
        RequestTokens(tuple(encode("Hello ")), (7, 8)),
        RequestTokens((1,), (7, 8)),
        RequestTokens((1,), (8,)),
    ]


def test_lists_of_tokens_and_any_series_of_requests_will_do(with_tokenizer):
    pretrained = with_tokenizer("byte-level")
    assert Request([5, 6], [7]) == Request((5, 6), (7,))
    requests = [Request([5, 6], (7,)), Request("Hello", [7, 8])]
    expected = tokenize_requests(pretrained, requests, 512)
    assert expected[0] == RequestTokens((5, 6), (7,))
    assert tokenize_requests(pretrained, (each for each in requests), 512) == expected


@pytest.mark.parametrize(
    ("family", "context", "continuation", "kept"),
    [("gpt2", 12, 4, 7), ("gpt2", 7, 4, 7), ("gpt2", 6, 4, 6), ("gpt2", 30, 10, 1)]
    + [("t5", 12, 4, 10), ("t5", 10, 10, 10)],
)
def test_the_last_tokens_are_kept(with_tokenizer, family, context, continuation, kept):
    """A decoder reads ten tokens and not the last; an encoder ten, and a decoder ten more."""
    ids, after = tuple(range(context)), tuple(range(50, 50 + continuation))
    request = Request(ids, after)
    (tokens,) = tokenize_requests(with_tokenizer("byte-level", family), [request], 10)
    assert tokens == RequestTokens(ids[context - kept :], after, context - kept)


def test_all_faults_are_named_at_once(with_tokenizer):
    pretrained = with_tokenizer("byte-level")
    rows = pretrained.config.vocab_size
    requests = [
        Request("Hello", " world"),
        Request("Hello", ""),
        Request((), (5,)),
        Request("  ", "Hello"),
        Request((5,), tuple(range(11))),
        Request((5,), (rows,)),
        Request((-1,), (5,)),
        Request("", "</s>"),
        Request("Hello", ""),
    ]
    with pytest.raises(InputError, match="tiny-gpt2 cannot score these requests:") as caught:
        tokenize_requests(pretrained, requests, 10)
    problems = caught.value.problems
    assert [problem.split(":")[0] for problem in problems] == [
        "request 1, '' after 'Hello'",
        "request 2, (5,) after ()",
        "request 3, 'Hello' after '  '",
        "request 4, (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10) after (5,)",
        f"request 5, ({rows},) after (5,)",
        "request 6, (5,) after (-1,)",
        "request 7, '</s>' after ''",
    ]
    for problem, words in zip(
        problems,
        [
            "the continuation has no tokens of its own",
            "the context has no tokens",
            "the continuation has no tokens of its own|the context has no tokens",
            "the continuation has 11 tokens, and the model reads at most 10",
            f"the token id {rows} is none of the {rows}",
            "the token id -1 is none",
            "the continuation has no tokens of its own",
        ],
        strict=True,
    ):
        assert any(each in problem for each in words.split("|")), problem
