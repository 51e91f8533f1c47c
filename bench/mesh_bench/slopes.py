"""How fast something grows. Pure."""

from collections.abc import Sequence

_HOUR = 3600.0


def percent_per_hour(samples: Sequence[tuple[float, float]]) -> float:
    """The slope of the least squares line through (seconds, value), in percent of the mean value an hour.

    At least two samples at different times, and a mean that is not 0.
    """
    count = len(samples)
    middle = sum(time for time, _ in samples) / count
    mean = sum(value for _, value in samples) / count
    spread = sum((time - middle) ** 2 for time, _ in samples)
    together = sum((time - middle) * (value - mean) for time, value in samples)
    return 100.0 * _HOUR * together / spread / mean
