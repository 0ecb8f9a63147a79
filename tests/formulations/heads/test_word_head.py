import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import BertPreTokenizer
from transformers import PreTrainedTokenizerFast

from fsl_jax.adapt import PromptTuning
from fsl_jax.data.examples import text_example
from fsl_jax.errors import InputError
from fsl_jax.formulations import packed_batch
from fsl_jax.formulations.heads.word_head import WordHead
from fsl_jax.formulations.registry import restore_formulation

TAGS = ("B-place", "I-place", "O")
TEXTS = ("ab c", "c", "abab ab c c", "c ab")
ANSWERS = (("B-place", "O"), ("O",), ("O", "B-place", "I-place", "O"), ("O", "O"))
EXAMPLES = [text_example(*each) for each in zip(TEXTS, ANSWERS, strict=True)]


@pytest.fixture(scope="module")
def pieces():
    """A tokenizer for which `ab` has two tokens and `c` one."""
    vocabulary = ["[PAD]", "[UNK]", "a", "##b", "##a", "c"]
    model = WordPiece({token: i for i, token in enumerate(vocabulary)}, unk_token="[UNK]")
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")


@pytest.fixture(scope="module")
def heads(tiny_bases, pieces):
    return {
        family: WordHead(dataclasses.replace(tiny_bases[family], tokenizer=pieces), TAGS)
        for family in ("bert", "llama", "t5")
    }


def with_head(head):
    params = head.prepare(head.pretrained.params, jax.random.key(0))
    return params | {"head": jax.tree.map(lambda leaf: leaf + 0.5, params["head"])}


# The token that stands for each word: the first one in an encoder, the last one in a decoder.
PLACES = {
    "bert": [[0, 2], [0], [0, 4, 6, 7], [0, 1]],
    "llama": [[1, 2], [0], [3, 5, 6, 7], [0, 2]],
}


@pytest.mark.parametrize("family", ["bert", "llama", "t5"])
@pytest.mark.parametrize("prompt", [0, 2])
def test_words_have_the_logits_of_their_token_in_the_text_alone(heads, family, prompt):
    head = heads[family]
    params = with_head(head)
    if prompt:
        params = PromptTuning(prompt).extend(params, jax.random.key(1))
    tokenized = head.tokenize(EXAMPLES)
    batch = packed_batch(head.segments(params, tokenized.tokens), features=tokenized.features)
    assert len(batch.input_ids) < len(EXAMPLES)
    found = jax.jit(head.outputs)(params, batch)

    @jax.jit
    def alone(ids):
        mask = jnp.ones((1, len(ids)), bool)
        hidden = head.pretrained.apply(
            params, ids[None], mask, unembed=False, **shifted(head, ids)
        ).hidden[0]
        return hidden @ params["head"]["kernel"] + params["head"]["bias"][None]

    for number in (0, 2):
        expected = alone(jnp.asarray(tokenized.tokens[number], jnp.int32))
        places = PLACES["bert" if family != "llama" else "llama"][number]
        logits = found.logits[number, : len(places)]
        np.testing.assert_allclose(logits, expected[jnp.array(places)], rtol=1e-4, atol=1e-5)
    assert found.is_read.sum(axis=1).tolist() == [2, 1, 4, 2]


def shifted(head, ids):
    """The decoder of an encoder-decoder reads the text shifted by one token."""
    if not head.pretrained.config.is_encoder_decoder:
        return {}
    start = jnp.array([head.pretrained.config.decoder_start_token], jnp.int32)
    return {"decoder_input_ids": jnp.concatenate([start, ids[:-1]])[None]}


def test_targets_are_tags_and_minus_one_where_there_is_no_word(heads):
    tokenized = heads["bert"].tokenize(EXAMPLES)
    targets = heads["bert"].targets(EXAMPLES, tokenized)
    assert targets.shape == tokenized.features["places"].shape
    assert targets[2, :5].tolist() == [2, 0, 1, 2, -1]
    assert (targets[1, 1:] == -1).all()


def test_words_that_were_cut_off_are_tagged_outside(heads):
    head = dataclasses.replace(heads["bert"], max_length=5)
    tokenized = head.tokenize(EXAMPLES)
    assert tokenized.truncated == 1
    params = with_head(head)
    # Whatever the words, the first tag has the largest logit.
    params["head"]["bias"] = jnp.float32([99, 0, 0])
    batch = packed_batch(head.segments(params, tokenized.tokens), features=tokenized.features)
    outputs = jax.device_get(jax.jit(head.outputs)(params, batch))
    answers = head.decode(outputs, EXAMPLES, tokenized)
    assert answers[0] == ("B-place", "B-place")
    assert answers[2] == ("B-place", "B-place", "O", "O")


def test_a_description_gives_the_formulation_back(heads):
    head = dataclasses.replace(heads["bert"], max_length=9)
    restored = restore_formulation(head.describe(), head.pretrained)
    assert isinstance(restored, WordHead)
    assert (
        restored.describe()
        == head.describe()
        == {
            "name": "word_head",
            "tags": list(TAGS),
            "max_length": 9,
        }
    )


def test_a_soft_prompt_after_the_text_is_refused(heads):
    head = heads["llama"]
    params = PromptTuning(2, position="suffix").extend(with_head(head), jax.random.key(1))
    tokenized = head.tokenize(EXAMPLES)
    batch = packed_batch(head.segments(params, tokenized.tokens), features=tokenized.features)
    with pytest.raises(InputError, match="without position='suffix'"):
        head.outputs(params, batch)
