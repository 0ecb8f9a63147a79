"""The share of padding of tasks."""

import pytest

from benchmarks.real_tasks.padding import (
    HEADINGS,
    Asked,
    most_shots,
    padding_cells,
    prediction_padding,
    tiny_encoder_decoder,
)
from benchmarks.workload import make_formulation
from fsl_jax.errors import InputError
from fsl_jax.formulations.template import Template
from fsl_jax.formulations.writing.written import WrittenFormulation
from fsl_jax.packing.padding import Padding
from fsl_jax.tasks.registry import find_task
from fsl_jax.tasks.splitting import few_shot_split


def test_there_are_as_many_shots_as_can_be_drawn(short_texts):
    assert most_shots(short_texts, (0, 1)) == 3
    assert most_shots(short_texts, (0, 1), shots=2) == 2
    with pytest.raises(InputError, match="shots"):
        few_shot_split(short_texts, 4, 0)


def test_the_line_of_a_task_has_the_share_of_each_program(tiny, tagged_texts):
    cells = padding_cells(Asked("words", "tiny", remark="short"), tiny("bert"), tagged_texts)
    assert cells[:5] == ["tagging", "words, short", "tiny", "word_head", "3"]
    assert len(cells) == len(HEADINGS)
    assert all(0 <= float(share.removesuffix("%")) < 60 for share in cells[5:])


def test_texts_are_packed_and_prompts_are_padded_to_few_lengths(tiny, short_texts):
    encoder = tiny("bert")
    tokens = sum(len(example.text.split()) for example in short_texts.test)
    packed = prediction_padding(make_formulation(encoder, short_texts), short_texts.test)
    assert (packed.real, packed.computed % 8) == (tokens, 0)
    asked = WrittenFormulation(
        tiny_encoder_decoder(encoder), find_task("classification"), Template("{text} :")
    )
    # 12 prompts of up to 10 tokens in 16 rows of 16.
    assert prediction_padding(asked, short_texts.test) == Padding(256, tokens + 12)
