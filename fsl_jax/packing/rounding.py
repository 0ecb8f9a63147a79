"""Whole numbers, rounded up."""


def divide_up(number: int, by: int) -> int:
    """Return a quotient, rounded up."""
    return -(-number // by)


def round_up(number: int, multiple: int) -> int:
    """Return the smallest multiple that is at least a number."""
    return divide_up(number, multiple) * multiple
