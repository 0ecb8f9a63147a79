"""Batches of the peer, padded to their own longest text."""

import numpy as np
import pytest

from benchmarks.peer_batches import padded_batches
from benchmarks.real_texts.workload import make_text_workload
from fsl_jax.adapt.methods.lora import LoRA


@pytest.mark.parametrize(("family", "on_left"), [("bert", False), ("llama", True)])
def test_each_batch_is_padded_to_its_own_longest_text(family, on_left, tiny, short_texts):
    work = make_text_workload(
        tiny(family), short_texts, LoRA(), batch_size=2, steps=5, turn=5, shots=3
    )
    widths = set()
    for rows, batch in zip(work.order(1), padded_batches(work, run=1), strict=True):
        longest = max(len(work.tokens[row]) for row in rows)
        widths.add(longest)
        assert batch["input_ids"].shape == batch["attention_mask"].shape == (2, longest)
        for row, ids, mask in zip(rows, batch["input_ids"], batch["attention_mask"], strict=True):
            assert ids[mask.bool()].tolist() == work.tokens[row]
            assert mask[-1 if on_left else 0] == 1
        assert batch["labels"].tolist() == work.targets[rows].tolist()
    assert len(widths) > 1


def test_each_run_has_batches_of_its_own(tiny, short_texts):
    work = make_text_workload(
        tiny("bert"), short_texts, LoRA(), batch_size=2, steps=6, turn=6, shots=3
    )
    first, second = work.order(), work.order(1)
    assert first.shape == second.shape == (6, 2)
    assert not np.array_equal(first, second)
