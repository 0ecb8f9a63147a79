"""What PEFT's AdaLoRA needs beside an adapted model."""

from collections.abc import Mapping

import numpy as np
import torch


def with_whole_ranks(start: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The leaves as they can be saved: values of zero would be left out of the file.

    Args:
      start: the trained leaves before the first step, by path; AdaLoRA's values are zero there.

    Returns:
      The leaves with ones for these values.
    """
    return {
        path: np.ones_like(leaf) if path.endswith("/lora_e") else leaf
        for path, leaf in start.items()
    }


def zero_ranks(model: torch.nn.Module) -> None:
    """Sets the values of a model that was loaded from `with_whole_ranks` back to zero."""
    for name, parameter in model.named_parameters():
        if "lora_E" in name:
            parameter.data.zero_()


class RankBudget:
    """What AdaLoRA does in a step beside the adapted model's."""

    def __init__(self, model: torch.nn.Module):
        """Takes PEFT's model.

        Args:
          model: with an adapter of AdaLoRA.
        """
        self._adalora = model.base_model
        self._weight = model.peft_config["default"].orth_reg_weight
        parameters = dict(model.named_parameters())
        self._rows = [each for name, each in parameters.items() if "lora_A" in name]
        self._columns = [each for name, each in parameters.items() if "lora_B" in name]

    def penalty(self) -> torch.Tensor:
        """What PEFT adds to a loss of the model's own, which this model does not have.

        Returns:
          float32, how far from orthogonal the matrices are, times the weight of that.
        """
        products = [each @ each.T for each in self._rows]
        products += [each.T @ each for each in self._columns]
        norms = [torch.norm(each - torch.eye(len(each)).to(each)) for each in products]
        return self._weight * torch.stack(norms).mean()

    def spend(self, step: int) -> None:
        """Moves the budget between the layers, after the optimiser's step.

        Args:
          step: its number, from 0.
        """
        self._adalora.update_and_allocate(step)
