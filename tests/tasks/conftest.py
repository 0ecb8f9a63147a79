"""A tokenizer of bytes, for texts of any alphabet."""

import pytest


@pytest.fixture(scope="session")
def byte_tokenizer():
    """One token a byte; a few pairs are joined, and words and spaces are kept apart."""
    from tokenizers import Tokenizer, decoders
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(ByteLevel.alphabet())
    merges = [("Ċ", "Ċ"), ("a", "b"), ("ab", "c"), ("Ġ", "a")]
    vocabulary = [*alphabet, *("".join(pair) for pair in merges)]
    tokenizer = Tokenizer(BPE({token: i for i, token in enumerate(vocabulary)}, merges))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


@pytest.fixture(scope="session")
def closing_tokenizer(tiny_tokenizer):
    """Ends every text with a token of its own, as the tokenizers of T5 do."""
    import copy

    from tokenizers.processors import TemplateProcessing

    closing = copy.deepcopy(tiny_tokenizer)
    closing.backend_tokenizer.post_processor = TemplateProcessing(
        single="$A [UNK]", special_tokens=[("[UNK]", tiny_tokenizer.unk_token_id)]
    )
    return closing


@pytest.fixture(scope="session")
def opening_tokenizer(tiny_tokenizer):
    """Begins every text with a token of its own, as the tokenizers of many decoders do."""
    import copy

    from tokenizers.processors import TemplateProcessing

    opening = copy.deepcopy(tiny_tokenizer)
    opening.backend_tokenizer.post_processor = TemplateProcessing(
        single="[UNK] $A", special_tokens=[("[UNK]", tiny_tokenizer.unk_token_id)]
    )
    return opening
