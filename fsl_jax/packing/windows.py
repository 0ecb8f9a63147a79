"""Pack one window of examples after the other into batches of a few shapes."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int32

from fsl_jax.packing.dealing import deal
from fsl_jax.packing.fitting import fit
from fsl_jax.packing.placements import Placements
from fsl_jax.packing.rounding import divide_up
from fsl_jax.packing.window_shapes import BatchShape, choose_shapes

BATCH_TOKENS = 1024
"""About the number of tokens to read at a time: enough that few products are small."""

WINDOW = 1024
"""The number of examples to pack at once: enough to fill batches, and few to hold in memory."""


class Packer:
    """Packs examples into batches of about as many tokens, window by window.

    A program is compiled for each shape of a batch. So the shapes that suit the first window serve
    the next ones too, and one is added only for examples that are longer than all rows. The caller
    tokenises one window at a time, so memory stays flat.
    """

    def __init__(self, tokens: int = BATCH_TOKENS, multiple: int = 1, slot_width: int = 0):
        """Make a packer.

        Args:
          tokens: about the number of tokens of a batch; one with a longer example has more.
          multiple: a number that divides the numbers of rows and of examples of each batch, such as
            the size of a mesh axis.
          slot_width: W, the number of tokens in each slot; 0 if there are none.
        """
        self._tokens = tokens
        self._multiple = multiple
        self._slot_width = slot_width
        # Those for the shortest examples come first.
        self._shapes: list[BatchShape] = []

    def pack(self, lengths: Int32[np.ndarray, " E"]) -> Iterator[Placements]:
        """Pack the examples of the next window.

        Args:
          lengths: the number of tokens of each example, at least 1.

        Yields:
          The placements `[B]` of a batch. Its examples are indices into the window. Each index has
          weight 1 in one batch; an example of weight 0 fills up its batch.
        """
        self._add_shapes(lengths)
        choice = np.searchsorted([shape.longest for shape in self._shapes], lengths)
        for number, shape in enumerate(self._shapes):
            examples = np.flatnonzero(choice == number).astype(np.int32)
            if len(examples):
                yield from _batches(shape, examples, lengths[examples])

    def _add_shapes(self, lengths: np.ndarray) -> None:
        """Choose the shape of the longest examples again if some are longer than all rows."""
        longest = [0, *(shape.longest for shape in self._shapes)]
        if lengths.max(initial=0) > longest[-1]:
            others = self._shapes[:-1]
            rest = lengths[lengths > longest[len(others)]]
            self._shapes = others + choose_shapes(
                rest, self._tokens, self._multiple, self._slot_width
            )


def _batches(shape: BatchShape, examples: np.ndarray, lengths: np.ndarray) -> Iterator[Placements]:
    """Yield as few batches of one shape as are found."""
    dealt, starts = _fit(shape, lengths)
    spare = ((0, 0), (0, shape.examples - dealt.shape[1]))
    dealt = np.pad(dealt, spare, constant_values=len(examples))
    weight = (dealt < len(examples)).astype(np.float32)
    indices = np.append(examples, examples[:1])[dealt]
    placements = Placements(indices, np.pad(starts, spare), weight, shape.rows)
    yield from map(placements.at, range(len(dealt)))


def _fit(shape: BatchShape, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the examples of each batch, `[C, B]`, and their starts."""
    batches = max(
        divide_up(int(lengths.sum()), shape.rows.tokens), divide_up(len(lengths), shape.examples)
    )
    while True:
        dealt, sizes = deal(lengths[None], batches)
        starts, fits = fit(sizes[0], shape.rows)
        if fits.all():
            return dealt[0], starts
        # At the latest, an example in a batch of its own fits.
        batches = min(batches + 1 + batches // 32, len(lengths))
