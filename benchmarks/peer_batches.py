"""The batches of the peer, each padded to its own longest text, as PEFT's users pad them."""

from transformers import BatchEncoding

from benchmarks.workload import Workload


def padded_batches(work: Workload, run: int = 0) -> list[BatchEncoding]:
    """Pad the batches of all steps, before any step is measured.

    Rows of an encoder are padded on the right. Those of a decoder are padded on the left, so that
    all have their last token in the last column.

    Args:
      work: the workload.
      run: the number of the run whose batches are padded.

    Returns:
      For each step `input_ids` and `attention_mask` `[B, T]` and `labels` `[B]`.
    """
    side = "left" if work.pretrained.config.is_decoder else "right"
    tokenizer = work.pretrained.tokenizer

    def batch(rows: list[int]) -> BatchEncoding:
        features = {
            "input_ids": [work.tokens[row] for row in rows],
            "labels": [int(work.label[row]) for row in rows],
        }
        return tokenizer.pad(features, padding_side=side, return_tensors="pt")

    return [batch(rows) for rows in work.order(run).tolist()]
