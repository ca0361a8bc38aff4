"""Numbers for JSON, in as many digits as a picture needs."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


def plain(value: float) -> float | None:
    """A number for JSON, which knows no NaN."""
    return None if math.isnan(value) else round(float(value), 6)


def short(values: npt.NDArray[np.float64]) -> list[float]:
    """Numbers with as many digits as a picture needs."""
    return [float(f"{value:.9g}") for value in values]
