"""Prediction of whole test sets, in turns with two peers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import softmax

from benchmarks.measure import Row, alternate
from benchmarks.project_training import ProjectTraining
from benchmarks.real_texts.peer_prediction import (
    PipelinePrediction,
    SortedPrediction,
    make_classifier,
)
from benchmarks.real_texts.project_prediction import ProjectPrediction, packed_tokens
from benchmarks.real_texts.training import describe_tokens
from benchmarks.workload import Workload
from fsl_jax.adapt.tree import flatten
from fsl_jax.data.examples import Dataset
from fsl_jax.packing.padding import Padding

BATCH = 32
"""The texts of a batch of the peers; this project packs batches of about as many tokens."""
TOLERANCE = 1e-3


def measure_prediction(work: Workload, dataset: Dataset, repeats: int) -> list[Row]:
    """Train a model on the workload, and measure how it predicts the test set.

    Args:
      work: the workload of the training, with an encoder.
      dataset: its data set.
      repeats: the number of turns that count, after one that does not.

    Returns:
      Seconds for the whole test set: a line for each peer, and one with our compiling.

    Raises:
      ValueError: the sides predict differently.
    """
    training = ProjectTraining(work)
    training.run()
    trained = training.stack.run_leaves(training.trained(), 0)
    leaves = {path: np.asarray(leaf) for path, leaf in flatten(trained).items()}
    model, tokenizer = make_classifier(work, leaves), work.pretrained.tokenizer
    texts = [example.text for example in dataset.test]
    project = ProjectPrediction(work, training, dataset.test)
    pipeline = PipelinePrediction(model, tokenizer, texts, BATCH)
    by_length = SortedPrediction(model, tokenizer, texts, BATCH)
    sides = {"project": project, "pipeline": pipeline, "sorted by length": by_length}
    seconds = alternate(sides, repeats)
    require_same_predictions(project.logits, by_length.logits)
    require_same_answers(project.logits, work.formulation.labels, pipeline.answers)
    lengths = list(map(len, work.formulation.tokenize(dataset.test).tokens))
    computed = {
        "pipeline": padded_tokens(lengths),
        "sorted by length": padded_tokens(sorted(lengths, reverse=True)),
    }
    packed = packed_tokens(lengths)
    title = f"{len(texts)} test texts of {work.texts.rpartition(' ')[2]}, {work.pretrained.name}"
    # What the first call compiles serves all others.
    compiling = sum(project.compile_seconds)
    rows = [
        Row(
            title,
            peer,
            seconds["project"],
            seconds[peer],
            None,
            f"tokens: {describe_tokens(tokens, packed)}",
        )
        for peer, tokens in computed.items()
    ]
    whole = [one + compiling for one in seconds["project"]]
    return [
        *rows,
        Row(f"{title}, compiling included", "pipeline", whole, seconds["pipeline"], None),
    ]


def padded_tokens(lengths: Sequence[int], batch: int = BATCH) -> Padding:
    """Count the tokens of batches that are padded to their longest text.

    Args:
      lengths: the tokens of each text, in the order of the batches.
      batch: the number of texts in a batch.

    Returns:
      The tokens that are computed, and those of the texts.
    """
    batches = [lengths[start : start + batch] for start in range(0, len(lengths), batch)]
    return Padding(sum(len(each) * max(each) for each in batches), sum(lengths))


def require_same_predictions(logits: np.ndarray, peer_logits: np.ndarray) -> None:
    """Raise an error unless two sides predict the same classes, with the same probabilities.

    Args:
      logits: the class logits of each text, `[E, C]`.
      peer_logits: those of the peer.

    Raises:
      ValueError: the sides differ.
    """
    ours, peers = softmax(logits, axis=1), softmax(peer_logits, axis=1)
    same = np.array_equal(ours.argmax(axis=1), peers.argmax(axis=1))
    if not same or not np.allclose(ours, peers, atol=TOLERANCE):
        raise ValueError(f"the sides predict differently, by {np.abs(ours - peers).max():.2g}")


def require_same_answers(
    logits: np.ndarray, labels: Sequence[str], answers: Sequence[dict[str, Any]]
) -> None:
    """Raise an error unless a pipeline gives the same label to each text, as sure as here.

    Args:
      logits: the class logits of each text, `[E, C]`.
      labels: the classes, in the order of the logits.
      answers: the `label` and `score` of each text.

    Raises:
      ValueError: the sides differ.
    """
    ours = softmax(logits, axis=1)
    chosen = [labels[column] for column in ours.argmax(axis=1)]
    scores = [answer["score"] for answer in answers]
    same = chosen == [answer["label"] for answer in answers]
    if not same or not np.allclose(ours.max(axis=1), scores, atol=TOLERANCE):
        raise ValueError("the sides predict differently: labels or their probabilities differ")
