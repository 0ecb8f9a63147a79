"""The parts of PEFT's AdaLoRA outside the adapted model: its start and its budget of ranks."""

from collections.abc import Mapping

import numpy as np
import torch


def with_whole_ranks(start: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Replace the leaves that are zero, since the file of an adapter would leave them out.

    Args:
      start: the trained leaves before the first step, by path; AdaLoRA's values are zero there.

    Returns:
      The leaves, with ones for AdaLoRA's values.
    """
    return {
        path: np.ones_like(leaf) if path.endswith("/lora_e") else leaf
        for path, leaf in start.items()
    }


def zero_ranks(model: torch.nn.Module) -> None:
    """Set the values back to zero in a model that was loaded from `with_whole_ranks`."""
    for name, parameter in model.named_parameters():
        if "lora_E" in name:
            parameter.data.zero_()


class RankBudget:
    """The penalty and the pruning of ranks that AdaLoRA adds to a training step."""

    def __init__(self, model: torch.nn.Module):
        """Take PEFT's model.

        Args:
          model: a model with an AdaLoRA adapter.
        """
        self._adalora = model.base_model
        self._weight = model.peft_config["default"].orth_reg_weight
        parameters = dict(model.named_parameters())
        self._rows = [each for name, each in parameters.items() if "lora_A" in name]
        self._columns = [each for name, each in parameters.items() if "lora_B" in name]

    def penalty(self) -> torch.Tensor:
        """Compute the term that PEFT adds to the loss if the model computes the loss itself.

        Returns:
          float32, the matrices' distance from orthogonality, times its weight.
        """
        products = [each @ each.T for each in self._rows]
        products += [each.T @ each for each in self._columns]
        norms = [torch.norm(each - torch.eye(len(each)).to(each)) for each in products]
        return self._weight * torch.stack(norms).mean()

    def spend(self, step: int) -> None:
        """Move the budget between the layers, after the optimiser's step.

        Args:
          step: its number, from 0.
        """
        self._adalora.update_and_allocate(step)
