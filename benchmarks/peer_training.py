"""A workload in PyTorch, with PEFT's methods and plain training code."""

import time

import peft.optimizers
import torch

from benchmarks.peer_adalora import RankBudget
from benchmarks.peer_batches import UNLABELLED, padded_batches
from benchmarks.peer_heads import make_head
from benchmarks.peer_models import Leaves, adapted
from benchmarks.workload import Workload
from fsl_jax.adapt.methods.adalora import AdaLoRA
from fsl_jax.adapt.methods.lora import LoRA
from fsl_jax.packing.padding import Padding


class PeerTraining:
    """One run in PyTorch.

    Attributes:
      losses: the loss of each step so far.
    """

    def __init__(
        self,
        work: Workload,
        start: Leaves,
        run: int = 0,
        *,
        last_logits_only: bool = True,
        compiled: bool = False,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ):
        """Prepare a run.

        Args:
          work: the workload.
          start: the trained leaves before the first step, by path.
          run: the number of the run, which has its own batches.
          last_logits_only: compute the language model's logits for the last token alone, as an
            expert would choose, or for all tokens, which is the default of transformers.
          compiled: run under `torch.compile`.
          device: the device to run on.
          dtype: of the base; trained parameters are float32.
        """
        model = adapted(work, start).to(device=device, dtype=dtype)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        self._classify = make_head(work, model, start, last_logits_only).to(device)
        parameters = [*model.parameters(), *self._classify.parameters()]
        if compiled:
            self._classify = torch.compile(self._classify)
        self._work = work
        self._rank_budget = RankBudget(model) if isinstance(work.method, AdaLoRA) else None
        self._autocast = torch.autocast(device, dtype, enabled=dtype != torch.float32)
        self._batches = [batch.to(device) for batch in padded_batches(work, run)]
        self._trained = [each for each in dict.fromkeys(parameters) if each.requires_grad]
        self._optimizer = _optimizer(work, model, self._trained)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimizer, self._share)
        self._step = 0
        self.losses: list[float] = []

    def step(self) -> float:
        """Take a step and return seconds."""
        start = time.perf_counter()
        batch = self._batches[self._step]
        with self._autocast:
            logits = self._classify(**{name: batch[name] for name in batch if name != "labels"})
        # The labels of tags have an axis of tokens.
        logits, labels = logits.float().flatten(0, -2), batch["labels"].flatten()
        loss = torch.nn.functional.cross_entropy(logits, labels, ignore_index=UNLABELLED)
        if self._rank_budget is not None:
            loss = loss + self._rank_budget.penalty()
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._trained, self._work.fit_config.clip_norm)
        self._optimizer.step()
        if self._rank_budget is not None:
            self._rank_budget.spend(self._step)
        self._schedule.step()
        self._step += 1
        self.losses.append(loss.item())
        # Reading the loss waited for the accelerator to finish.
        return time.perf_counter() - start

    def run(self) -> float:
        """Take all steps that are left and return seconds."""
        return sum(self.step() for _ in range(self._step, self._work.fit_config.steps))

    @property
    def padding(self) -> Padding:
        """The tokens of all steps, soft prompts included."""
        masks = [batch["attention_mask"] for batch in self._batches]
        prompts = self._work.prompt_vectors * sum(map(len, masks))
        computed, real = sum(mask.numel() for mask in masks), sum(int(mask.sum()) for mask in masks)
        return Padding(computed + prompts, real + prompts)

    def _share(self, step: int) -> float:
        """Return the learning rate's share of its peak, as in `fsl_jax.training.optimizer`."""
        steps = self._work.fit_config.steps
        warmup = int(self._work.fit_config.warmup * steps)
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return max(0.0, (steps - step) / (steps - warmup))


def _optimizer(
    work: Workload, model: torch.nn.Module, trained: list[torch.nn.Parameter]
) -> torch.optim.Optimizer:
    """Make AdamW; for LoRA+ with PEFT's rates, and the plain rate outside the adapted model."""
    rate = work.learning_rate
    if not isinstance(work.method, LoRA) or work.method.learning_rate_ratio == 1:
        return torch.optim.AdamW(trained, rate, weight_decay=0.0)
    optimizer = peft.optimizers.create_loraplus_optimizer(
        model, torch.optim.AdamW, lr=rate, loraplus_lr_ratio=work.method.learning_rate_ratio
    )
    included = {id(each) for group in optimizer.param_groups for each in group["params"]}
    others = [each for each in trained if id(each) not in included]
    optimizer.add_param_group({"params": others, "lr": rate, "weight_decay": 0.0})
    return optimizer
