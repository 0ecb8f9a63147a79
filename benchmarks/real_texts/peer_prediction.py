"""Prediction by transformers' pipeline, and in batches of similar length as others do it."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import peft
import torch
import transformers
from transformers.modeling_outputs import SequenceClassifierOutput

from benchmarks.peer_models import Leaves, adapted
from benchmarks.workload import Workload


class MeanPooledClassifier(transformers.BertPreTrainedModel):
    """An encoder with a linear layer on the mean over tokens."""

    def __init__(self, encoder: transformers.BertModel, start: Leaves, labels: Sequence[str]):
        """Join an encoder and a head.

        Args:
          encoder: the encoder, with the adapter merged into it.
          start: the leaves of the head, by path.
          labels: the classes, in the order of the logits.
        """
        encoder.config.id2label = dict(enumerate(labels))
        super().__init__(encoder.config)
        self.encoder = encoder
        kernel = torch.tensor(start["head/kernel"])
        self.classifier = torch.nn.Linear(*kernel.shape)
        self.classifier.weight.data.copy_(kernel.T)
        self.classifier.bias.data.copy_(torch.tensor(start["head/bias"]))
        self.eval()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **_: Any):
        """Compute the class logits of a batch."""
        hidden = self.encoder(input_ids, attention_mask).last_hidden_state
        weights = attention_mask.to(hidden.dtype)
        pooled = torch.einsum("btd,bt->bd", hidden, weights) / weights.sum(1, keepdim=True)
        return SequenceClassifierOutput(logits=self.classifier(pooled))


def make_classifier(work: Workload, leaves: Leaves) -> MeanPooledClassifier:
    """Make the peer's model of trained leaves; PEFT merges the adapter into the weights."""
    model = adapted(work, leaves)
    if isinstance(model, peft.PeftModel):
        model = model.merge_and_unload()
    return MeanPooledClassifier(model, leaves, work.formulation.labels)


class PipelinePrediction:
    """Prediction by the pipeline of transformers, which takes the texts as they come.

    Attributes:
      answers: the label and its probability for each text, after a call.
    """

    answers: list[dict[str, Any]]

    def __init__(
        self, model: MeanPooledClassifier, tokenizer: Any, texts: Sequence[str], batch: int
    ):
        """Make the pipeline; it warns that it does not know the class of the model."""
        self._pipeline = transformers.pipeline(
            "text-classification", model=model, tokenizer=tokenizer, batch_size=batch, device="cpu"
        )
        self._texts = list(texts)

    def __call__(self) -> float:
        """Predict all texts, and return seconds."""
        start = time.perf_counter()
        self.answers = self._pipeline(self._texts)
        return time.perf_counter() - start


class SortedPrediction:
    """Prediction in batches of similar length, each padded to its own longest text.

    Attributes:
      logits: the class logits of the last call, float32 `[E, C]`.
    """

    logits: np.ndarray

    def __init__(
        self, model: MeanPooledClassifier, tokenizer: Any, texts: Sequence[str], batch: int
    ):
        """Keep what is needed."""
        self._model, self._tokenizer = model, tokenizer
        self._texts, self._batch = list(texts), batch

    def __call__(self) -> float:
        """Predict all texts, and return seconds."""
        start = time.perf_counter()
        tokens = self._tokenizer(self._texts)["input_ids"]
        order = sorted(range(len(tokens)), key=lambda row: -len(tokens[row]))
        logits = []
        with torch.inference_mode():
            for first in range(0, len(order), self._batch):
                rows = order[first : first + self._batch]
                features = {"input_ids": [tokens[row] for row in rows]}
                logits.append(self._model(**self._tokenizer.pad(features, return_tensors="pt")))
        joined = torch.cat([output.logits for output in logits]).numpy()
        self.logits = joined[np.argsort(order)]
        return time.perf_counter() - start
