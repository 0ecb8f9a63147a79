"""Durations in words."""


def duration(seconds: float) -> str:
    """Return a duration in the unit that suits it.

    Args:
      seconds: the duration.

    Returns:
      For example `40 seconds`, `2.5 minutes` or `3.1 hours`.
    """
    if seconds < 60:
        return f"{max(seconds, 1):.0f} {'second' if seconds < 1.5 else 'seconds'}"
    if seconds < 3600:
        return f"{seconds / 60:.1f} minutes"
    return f"{seconds / 3600:.1f} hours"
