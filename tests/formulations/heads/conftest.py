"""A tokenizer that joins two texts."""

import copy
import dataclasses

import pytest
from tokenizers.processors import TemplateProcessing


@pytest.fixture(scope="session")
def pair_tokenizer():
    """Makes a model whose tokenizer ends each text of a pair with a full stop."""

    def make(base):
        tokenizer = copy.deepcopy(base.tokenizer)
        stop = [(".", tokenizer.convert_tokens_to_ids("."))]
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing("$A .", "$A . $B .", stop)
        return dataclasses.replace(base, tokenizer=tokenizer)

    return make
