import pytest

from fsl_jax.models.generation.texts import ContinuationText


@pytest.fixture(scope="module")
def metaspace():
    """A tokenizer that drops the first space of a text, as that of Llama 2."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pieces = ["<s>", "</s>", "\u2581The", "\u2581sky", "\u2581is", "\u2581blue", "."]
    pieces += ["<0xC3>", "<0xA9>"]
    tokenizer = Tokenizer(models.WordLevel({piece: i for i, piece in enumerate(pieces)}, "."))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("\u2581", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


def ids(tokenizer, *pieces):
    return tokenizer.convert_tokens_to_ids(list(pieces))


def test_the_space_before_a_continuation_is_kept(metaspace):
    before = metaspace("The sky is")["input_ids"]
    after = ids(metaspace, "\u2581blue", ".")
    text = ContinuationText(metaspace, tuple(before))
    assert text(after) == " blue."
    assert text(after[:1]) == " blue"
    assert text([]) == ""
    assert "The sky is" + text(after) == metaspace.decode(before + after)


def test_the_text_of_a_decoder_that_starts_anew_has_no_space(metaspace):
    assert ContinuationText(metaspace, ())(ids(metaspace, "\u2581blue")) == "blue"


def test_special_tokens_are_left_out_on_both_sides(metaspace):
    text = ContinuationText(metaspace, tuple(ids(metaspace, "<s>", "\u2581The", "</s>")))
    after = ids(metaspace, "\u2581sky", "</s>")
    assert text(after, skip_special_tokens=True) == " sky"
    assert text(after) == " sky</s>"


def test_a_character_that_ends_in_the_continuation_belongs_to_it(metaspace):
    text = ContinuationText(metaspace, tuple(ids(metaspace, "\u2581The", "<0xC3>")))
    assert text(ids(metaspace, "<0xA9>")) == "é"
