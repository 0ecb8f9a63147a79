"""Where the tensors of an adapter go that has one or two vectors for each layer it adapts.

Reading is strict: every tensor is known, and each is there once, in its shape, for all layers of a
stack or for none.
"""

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fsl_jax.adapt.peft.modules import PREFIX
from fsl_jax.models.names import NameTable

_WITHOUT_EFFECT = frozenset(
    {
        "auto_mapping",
        "base_model_name_or_path",
        "exclude_modules",
        "fan_in_fan_out",
        "feedforward_modules",
        "inference_mode",
        "init_ia3_weights",
        "peft_type",
        "peft_version",
        "revision",
        "runtime_config",
        "target_modules",
        "task_type",
    }
)
"""Fields of a config that change nothing in what these kinds of saved adapters compute."""


@dataclasses.dataclass(frozen=True)
class Slot:
    """A tensor, or one for each layer of a stack.

    Attributes:
      module: the layer's name in Hugging Face's model, `{layer}` standing for its number.
      part: what its tensor is called beside that.
      copies: how many there are; None where it is not stacked.
      shapes: those that one tensor may have.
    """

    module: str
    part: str
    copies: int | None
    shapes: tuple[tuple[int, ...], ...]

    def each(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """The module of each copy, and its index in the stacked leaf."""
        if self.copies is None:
            yield self.module, ()
        else:
            yield from ((self.module.format(layer=i), (i,)) for i in range(self.copies))


def read_slots(
    tensors: Mapping[str, np.ndarray],
    slots: Sequence[Slot],
    table: NameTable,
    targets: object,
) -> tuple[dict[Slot, np.ndarray], list[str]]:
    """The tensors of the slots that are filled.

    Args:
      tensors: by PEFT's names.
      slots: all that there are for the base model.
      table: the names of its family.
      targets: `target_modules` of the config, of which a list of ends of names is heeded.

    Returns:
      What is in each slot, stacked `[L, ...]` where it has copies, and all that is wrong.
    """
    known = {f"{table.canonical(name)}.{slot.part}" for slot in slots for name, _ in slot.each()}
    given: dict[str, np.ndarray] = {}
    found = []
    for full, tensor in tensors.items():
        name = table.canonical(full.removeprefix(PREFIX))
        if name not in known:
            found.append(f"not known: {full}")
        elif name in given:
            found.append(f"duplicate: {full} is there under another name too")
        given[name] = tensor
    ends = [str(end) for end in targets] if isinstance(targets, list) else []
    wanted = {slot.module for slot in slots if _is_wanted(slot, given, table, ends)}
    filled = {}
    for slot in slots:
        if slot.module in wanted:
            faulty, stack = _take(slot, given, table)
            found += faulty
            if not faulty:
                filled[slot] = stack[0] if slot.copies is None else np.stack(stack)
    if not wanted:
        found.append("no layer has tensors")
    return filled, found


def config_faults(values: Mapping[str, Any], peft_type: str) -> list[str]:
    """What keeps an adapter with this config from being read.

    Args:
      values: what `adapter_config.json` says.
      peft_type: the kind that it should be of.

    Returns:
      A line for each fault.
    """
    found = []
    if values.get("peft_type") != peft_type:
        found.append(f"peft_type is {values.get('peft_type')!r}; expected {peft_type!r}")
    for name in sorted(values.keys() - _WITHOUT_EFFECT):
        if values[name] not in (None, False, "none", [], {}):
            found.append(f"{name} is {values[name]!r}, which is not supported")
    return found


def _is_wanted(slot: Slot, given: Collection[str], table: NameTable, ends: Sequence[str]) -> bool:
    """Whether any copy has a tensor, or is named by the targets."""
    names = [table.canonical(name) for name, _ in slot.each()]
    if any(f"{name}.{slot.part}" in given for name in names):
        return True
    return any(f".{table.prefix}{name}".endswith(f".{end}") for name in names for end in ends)


def _take(
    slot: Slot, given: Mapping[str, np.ndarray], table: NameTable
) -> tuple[list[str], list[np.ndarray]]:
    found, stack = [], []
    shapes = [list(shape) for shape in slot.shapes]
    for name, _ in slot.each():
        full = f"{PREFIX}{name}.{slot.part}"
        tensor = given.get(f"{table.canonical(name)}.{slot.part}")
        if tensor is None:
            found.append(f"missing: {full}")
        elif list(tensor.shape) not in shapes:
            expected = " or ".join(map(str, shapes))
            found.append(f"wrong shape: {full} is {list(tensor.shape)}, expected {expected}")
        else:
            # The first one settles which of the shapes the others have.
            shapes = [list(tensor.shape)]
            stack.append(tensor)
    return found, stack
