"""The answers of a model to queries."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True, eq=False)
class Answered:
    """The answers of a model to E queries.

    Attributes:
      answers: an answer to each query, in the form of its task; None where there is none.
      truncated: the number of queries that were cut because they were too long for the model.
      cut_answers: the number of written answers that were cut at the formulation's `max_answer`.
    """

    answers: list[Any]
    truncated: int
    cut_answers: int = dataclasses.field(default=0, kw_only=True)

    @property
    def unreadable(self) -> int:
        """The number of queries to which the model gave no answer."""
        return sum(answer is None for answer in self.answers)
