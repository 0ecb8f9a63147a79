"""Heads that the peer puts on a model: linear layers, or the logits of label words."""

import torch

from benchmarks.peer_models import Leaves
from benchmarks.workload import Workload
from fsl_jax.formulations.heads.marker_head import MarkerHead
from fsl_jax.formulations.heads.word_head import WordHead


def make_head(
    work: Workload, model: torch.nn.Module, start: Leaves, last_logits_only: bool = True
) -> torch.nn.Module:
    """Make the module that computes the logits of a batch from `peer_batches`.

    Args:
      work: the workload, whose formulation says what is read.
      model: the adapted model.
      start: the trained leaves before the first step, by path.
      last_logits_only: as in `PeerTraining`.

    Returns:
      The module, with `model` in it.
    """
    if work.pretrained.config.is_decoder:
        words = torch.tensor(work.formulation.words.first_tokens, dtype=torch.long)
        return _Words(model, words, last_logits_only)
    if isinstance(work.formulation, WordHead):
        return _Tokens(model, start)
    if isinstance(work.formulation, MarkerHead):
        return _Marks(model, start)
    return _Pooled(model, start)


class _Linear(torch.nn.Module):
    """The base class of modules with a linear layer on hidden states."""

    def __init__(self, model: torch.nn.Module, start: Leaves):
        super().__init__()
        self.model = model
        self.head = torch.nn.Linear(*start["head/kernel"].shape)
        self.head.weight.data.copy_(torch.tensor(start["head/kernel"].T))
        self.head.bias.data.copy_(torch.tensor(start["head/bias"]))

    def hidden(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        # PEFT puts a soft prompt before the tokens, and the output contains its positions.
        return hidden[:, -input_ids.shape[1] :]


class _Pooled(_Linear):
    """A linear layer on the mean over tokens."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden = self.hidden(input_ids, attention_mask)
        weights = attention_mask.to(hidden.dtype)
        pooled = torch.einsum("btd,bt->bd", hidden, weights) / weights.sum(1, keepdim=True)
        return self.head(pooled)


class _Tokens(_Linear):
    """A linear layer on every token, as transformers' classifiers of tokens have it."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.head(self.hidden(input_ids, attention_mask))


class _Marks(_Linear):
    """A linear layer on the hidden states of both marks (Baldini Soares et al. 2019)."""

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, places: torch.Tensor
    ) -> torch.Tensor:
        hidden = self.hidden(input_ids, attention_mask)
        rows = torch.arange(len(hidden), device=hidden.device)[:, None]
        return self.head(hidden[rows, places].flatten(1))


class _Words(torch.nn.Module):
    """The logits of label words after the last token, which is in the last column of each row."""

    def __init__(self, model: torch.nn.Module, words: torch.Tensor, last_logits_only: bool):
        super().__init__()
        self.model = model
        self.register_buffer("words", words)
        self._options = {"logits_to_keep": 1} if last_logits_only else {}

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        output = self.model(
            input_ids=input_ids, attention_mask=attention_mask, use_cache=False, **self._options
        )
        return output.logits[:, -1, self.words]
