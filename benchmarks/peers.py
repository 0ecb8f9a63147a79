"""The work in PyTorch, with transformers' models and PEFT's methods, from the same weights."""

import tempfile
import time
from collections.abc import Mapping

import numpy as np
import peft
import peft.optimizers
import torch
import transformers

from benchmarks.peer_adalora import RankBudget, with_whole_ranks, zero_ranks
from benchmarks.prompt_networks import has_network, with_network
from benchmarks.work import Work
from fsl_jax.adapt.files.adapter_files import save_adapter
from fsl_jax.adapt.methods.adalora import AdaLoRA
from fsl_jax.adapt.methods.linear_probe import LinearProbe
from fsl_jax.adapt.methods.lora import LoRA
from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.methods.top_layers import TopLayers
from fsl_jax.adapt.peft.kinds import KINDS
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.models.families.bert.model import BertConfig
from fsl_jax.models.families.llama.model import LlamaConfig
from fsl_jax.models.families.registry import FAMILIES
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.models.tensors.tensor_map import write_tensors

Leaves = Mapping[str, np.ndarray]


class Peer:
    """One run in PyTorch."""

    def __init__(
        self,
        work: Work,
        start: Leaves,
        *,
        last_logits_only: bool = True,
        compiled: bool = False,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ):
        """Prepares a run.

        Args:
          work: what is to be trained.
          start: the trained leaves before the first step, by path.
          last_logits_only: whether the language model computes logits for the last token alone, as
            an expert would ask for, or for all tokens, as it does unasked.
          compiled: whether it runs under `torch.compile`.
          device: where it runs.
          dtype: of the base; what is trained is float32.
        """
        model = adapted(work, start).to(device=device, dtype=dtype)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        if work.pretrained.config.is_decoder:
            words = torch.tensor(work.formulation.words.first, device=device, dtype=torch.long)
            self._classify: torch.nn.Module = _Words(model, words, last_logits_only)
        else:
            self._classify = _Head(model, start, device)
        parameters = [*model.parameters(), *self._classify.parameters()]
        if compiled:
            self._classify = torch.compile(self._classify)
        self._work = work
        self._rank_budget = RankBudget(model) if isinstance(work.method, AdaLoRA) else None
        self._autocast = torch.autocast(device, dtype, enabled=dtype != torch.float32)
        self._arrays = {
            name: torch.tensor(array, device=device) for name, array in work.arrays.items()
        }
        self._trained = [each for each in dict.fromkeys(parameters) if each.requires_grad]
        self._optimizer = _optimizer(work, model, self._trained)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimizer, self._share)
        self._step = 0
        self.losses: list[float] = []

    def step(self) -> float:
        """Takes a step: seconds."""
        start = time.perf_counter()
        rows = torch.as_tensor(self._work.order[self._step], device=self._arrays["label"].device)
        batch = {name: array[rows.long()] for name, array in self._arrays.items()}
        with self._autocast:
            logits = self._classify(batch["input_ids"], batch["attention_mask"])
        loss = torch.nn.functional.cross_entropy(logits.float(), batch["label"].long())
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
        # Reading the loss waited for what an accelerator had still to do.
        return time.perf_counter() - start

    def run(self) -> float:
        """Takes all steps that are left: seconds."""
        return sum(self.step() for _ in range(self._step, self._work.fit_config.steps))

    def _share(self, step: int) -> float:
        """The learning rate's share of its peak, as `fsl_jax.training.optimizer` has it."""
        steps = self._work.fit_config.steps
        warmup = int(self._work.fit_config.warmup * steps)
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return max(0.0, (steps - step) / (steps - warmup))


def _optimizer(
    work: Work, model: torch.nn.Module, trained: list[torch.nn.Parameter]
) -> torch.optim.Optimizer:
    """AdamW, of LoRA+ as PEFT makes it; what is not in the adapted model has the plain rate."""
    rate = work.learning_rate
    if not isinstance(work.method, LoRA) or work.method.learning_rate_ratio == 1:
        return torch.optim.AdamW(trained, rate, weight_decay=0.0)
    optimizer = peft.optimizers.create_loraplus_optimizer(
        model, torch.optim.AdamW, lr=rate, loraplus_lr_ratio=work.method.learning_rate_ratio
    )
    there = {id(each) for group in optimizer.param_groups for each in group["params"]}
    others = [each for each in trained if id(each) not in there]
    optimizer.add_param_group({"params": others, "lr": rate, "weight_decay": 0.0})
    return optimizer


class _Head(torch.nn.Module):
    """The mean over tokens, and a linear layer."""

    def __init__(self, model: torch.nn.Module, start: Leaves, device: str):
        super().__init__()
        self.model = model
        width, classes = start["head/kernel"].shape
        self.head = torch.nn.Linear(width, classes, device=device)
        self.head.weight.data.copy_(torch.tensor(start["head/kernel"].T))
        self.head.bias.data.copy_(torch.tensor(start["head/bias"]))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        # PEFT puts a soft prompt before the tokens, and leaves it in what comes out.
        hidden = hidden[:, -input_ids.shape[1] :]
        weights = attention_mask.to(hidden.dtype)
        pooled = torch.einsum("btd,bt->bd", hidden, weights) / weights.sum(1, keepdim=True)
        return self.head(pooled)


class _Words(torch.nn.Module):
    """The logits of label words after the last token; prompts have to be of one length."""

    def __init__(self, model: torch.nn.Module, words: torch.Tensor, last_logits_only: bool):
        super().__init__()
        self.model = model
        self._words = words
        self._options = {"logits_to_keep": 1} if last_logits_only else {}

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        output = self.model(
            input_ids=input_ids, attention_mask=attention_mask, use_cache=False, **self._options
        )
        return output.logits[:, -1, self._words]


def adapted(work: Work, start: Leaves) -> torch.nn.Module:
    """The base model, with what the method trains and nothing else requiring gradients."""
    model = base_model(work.pretrained)
    model.requires_grad_(False)
    if has_network(work.method):
        model = with_network(model, work.method, start)
    elif has_peer(work.method):
        with tempfile.TemporaryDirectory() as directory:
            leaves = unflatten(with_whole_ranks(start))
            save_adapter(directory, leaves, work.method, work.pretrained, {})
            is_prompt = peft.PeftConfig.from_pretrained(directory).is_prompt_learning
            # PEFT refuses to train a prompt that was saved, unless its parameters are asked to.
            model = peft.PeftModel.from_pretrained(model, directory, is_trainable=not is_prompt)
            if is_prompt:
                model.prompt_encoder.requires_grad_(True)
            zero_ranks(model)
    elif isinstance(work.method, TopLayers):
        model.encoder.layer[-work.method.k :].requires_grad_(True)
    elif not isinstance(work.method, LinearProbe):
        raise ValueError(f"no counterpart of {work.method.name}")
    # No dropout on either side: in the models of transformers this is what `eval` turns off.
    return model.eval()


def has_peer(method: Method) -> bool:
    """Whether PEFT trains what the method trains.

    What is saved is then what was trained, but for networks that are left out once they are.
    """
    # PEFT trains PiSSA's start too, once it has been saved as a LoRA of twice the rank.
    saved = type(method).finish is Method.finish and getattr(method, "start", "") != "pissa"
    return has_network(method) or (saved and any(type(method) is kind.method for kind in KINDS))


def base_model(pretrained: Pretrained) -> torch.nn.Module:
    """The model of transformers with the weights of a pretrained one."""
    config = pretrained.config
    if isinstance(config, BertConfig):
        model: torch.nn.Module = transformers.BertModel(_bert(config), config.has_pooler)
    else:
        model = transformers.LlamaForCausalLM(_llama(config))
    table = FAMILIES[config.family].tensor_map(config)
    leaves = {
        path: np.asarray(leaf, np.float32) for path, leaf in flatten(pretrained.params).items()
    }
    tensors = {
        name if config.is_decoder else table.canonical(name): torch.tensor(tensor)
        for name, tensor in write_tensors(leaves, table)
    }
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    tied = {"lm_head.weight"} if config.is_decoder and config.tied else set()
    if unexpected or set(missing) - tied:
        raise ValueError(f"weights do not fit: missing {missing}, unexpected {unexpected}")
    return model


def _bert(config: BertConfig) -> transformers.BertConfig:
    return transformers.BertConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        intermediate_size=config.mlp_size,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        max_position_embeddings=config.max_length,
        type_vocab_size=config.num_token_types,
        layer_norm_eps=config.norm_epsilon,
    )


def _llama(config: LlamaConfig) -> transformers.LlamaConfig:
    return transformers.LlamaConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        intermediate_size=config.mlp_size,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        num_key_value_heads=config.num_kv_heads,
        head_dim=config.head_dim,
        max_position_embeddings=config.max_length,
        rope_theta=config.rope_theta,
        rms_norm_eps=config.norm_epsilon,
        tie_word_embeddings=config.tied,
    )
