"""The batches of the peer, each padded to its own longest text by the collators of its users."""

import functools
from collections.abc import Callable
from typing import Any

from transformers import BatchEncoding, DataCollatorForTokenClassification

from benchmarks.workload import Workload
from fsl_jax.formulations.heads.marker_head import MarkerHead
from fsl_jax.formulations.heads.place_head import PLACES
from fsl_jax.formulations.heads.word_head import WordHead
from fsl_jax.formulations.objectives.entities import NO_WORD

UNLABELLED = -100
"""The label of a token that has no loss, as PyTorch and transformers' collators write it."""


def padded_batches(work: Workload, run: int = 0) -> list[BatchEncoding]:
    """Pad the batches of all steps, before any step is measured.

    Rows of an encoder are padded on the right. Those of a decoder are padded on the left, so that
    all have their last token in the last column.

    Args:
      work: the workload.
      run: the number of the run whose batches are padded.

    Returns:
      For each step `input_ids` and `attention_mask` `[B, T]`, and `labels`: `[B]`, or `[B, T]` for
      tags, which stand at the first token of each word. Marked entities have their `places` too.
    """
    collate = _collator(work)
    features = [_features(work, row) for row in range(len(work.tokens))]
    # A collator takes the labels out of what it is given.
    return [collate([dict(features[row]) for row in rows]) for rows in work.order(run).tolist()]


def _collator(work: Workload) -> Callable[[list[dict[str, Any]]], BatchEncoding]:
    tokenizer = work.pretrained.tokenizer
    if isinstance(work.formulation, WordHead):
        return DataCollatorForTokenClassification(tokenizer, label_pad_token_id=UNLABELLED)
    side = "left" if work.pretrained.config.is_decoder else "right"
    # All that transformers' `DataCollatorWithPadding` does, which has no option for the side.
    return functools.partial(tokenizer.pad, padding_side=side, return_tensors="pt")


def _features(work: Workload, row: int) -> dict[str, Any]:
    """Return what the users of a collator give it for one text."""
    ids, target = list(work.tokens[row]), work.targets[row]
    if isinstance(work.formulation, WordHead):
        labels = [UNLABELLED] * len(ids)
        for place, tag in zip(work.features[PLACES][row], target, strict=True):
            if place >= 0 and tag != NO_WORD:
                labels[place] = int(tag)
        return {"input_ids": ids, "labels": labels}
    features = {"input_ids": ids, "labels": int(target)}
    if isinstance(work.formulation, MarkerHead):
        features["places"] = work.features[PLACES][row].tolist()
    return features
