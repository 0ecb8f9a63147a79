import pytest
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split, WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from fsl_jax.errors import InputError
from fsl_jax.models.tokenizing import (
    prompt_tokens,
    refusing_errors,
    require_characters,
    tokenize,
)

WORDS = {word: index for index, word in enumerate(["<unk>", "<s>", "</s>", "a", "b"])}


def make(template="$A", pre_tokenizer=None):
    tokenizer = Tokenizer(WordLevel(WORDS, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizer or WhitespaceSplit()
    tokenizer.add_special_tokens(["<s>", "</s>"])
    tokenizer.post_processor = TemplateProcessing(
        template, special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


@pytest.mark.parametrize(
    ("template", "prompts"),
    [
        ("$A", [[3, 4], [3], [3, 2]]),
        ("<s> $A", [[1, 3, 4], [1, 3], [1, 3, 2]]),
        ("$A </s>", [[3, 4], [3], [3, 2]]),
        ("<s> $A </s> <s>", [[1, 3, 4], [1, 3], [1, 3, 2]]),
    ],
)
def test_a_prompt_has_no_token_that_the_tokenizer_adds_at_its_end(template, prompts):
    """A token that the text itself ends with stays."""
    texts, tokenizer = ["a b", "a", "a </s>"], make(template)
    assert prompt_tokens(tokenizer, texts) == prompts
    assert prompt_tokens(tokenizer, texts, continues=False) == tokenizer(texts)["input_ids"]


def test_an_empty_prompt_keeps_what_the_tokenizer_adds():
    assert prompt_tokens(make("<s> $A"), [""]) == [[1]]
    assert prompt_tokens(make(), [""]) == [[]]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("a\ud83d", r"the text 'a\\ud83d' has half a surrogate pair .* at character 2"),
        (["a", "\udc80b" + "c" * 99], r"the text '\\udc80bc+\.\.\. has half a surrogate pair"),
    ],
)
def test_half_a_surrogate_pair_is_an_error_that_shows_the_text(texts, message):
    with pytest.raises(InputError, match=message) as raised:
        tokenize(make(), texts)
    str(raised.value).encode()


def test_other_characters_are_texts():
    assert tokenize(make(), "\0 a \x85 👧")["input_ids"] == [0, 3, 0]
    require_characters("\0👧")


def test_a_panic_of_the_tokenizer_is_an_error(capfd):
    """This pattern takes exponential time, which the tokenizer limits by a panic."""
    tokenizer = make(pre_tokenizer=Split(Regex("(a+)+$"), "isolated"))
    with pytest.raises(InputError, match=r"the tokenizer fails at one of 2 texts.*PanicException"):
        tokenize(tokenizer, ["b", "a" * 60 + "b"])
    assert "panicked" in capfd.readouterr().err


def test_an_interrupt_is_not_taken_for_an_error_of_the_tokenizer():
    def interrupted(texts):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tokenize(interrupted, "a")


FILE = ("model.gguf: the tokenizer cannot be built", "Fetch it again.")


class PanicException(BaseException):
    """An error under the name of a panic of Rust code, which is no `Exception` either."""


@pytest.mark.parametrize("error", [PanicException("index out of bounds"), ValueError("no $B")])
def test_panics_and_errors_name_the_file(error):
    message = r"^model\.gguf: the tokenizer cannot be built: .*(bounds|\$B)\. Fetch it again\.$"
    with pytest.raises(InputError, match=message), refusing_errors(*FILE):
        raise error


def test_an_error_of_the_library_is_refused():
    with pytest.raises(InputError, match="cannot be built"), refusing_errors(*FILE):
        Tokenizer(WordLevel({"a": 0})).post_processor = TemplateProcessing(
            single=["a:b", "$A"], special_tokens=[("a", 0)]
        )


def test_other_errors_pass():
    with pytest.raises(InputError, match=r"^as it was$"), refusing_errors(*FILE):
        raise InputError("as it was")
    with pytest.raises(KeyboardInterrupt), refusing_errors(*FILE):
        raise KeyboardInterrupt
