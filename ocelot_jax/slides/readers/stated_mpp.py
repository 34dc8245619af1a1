"""um/px as files state it, which is taken whole or not at all."""

import math
from pathlib import Path
from typing import Any

from ocelot_jax.io.errors import InputError

PLAUSIBLE = (0.05, 20.0)


def is_plausible(mpp: float) -> bool:
    """Whether a microscope may have so many micrometres per pixel."""
    return PLAUSIBLE[0] <= mpp <= PLAUSIBLE[1]


def check(
    x: Any, y: Any, path: Path, where: str, scales: tuple[float, float] = (1.0, 1.0)
) -> tuple[float, float] | None:
    """Gives micrometres per pixel along both axes, as one part of a file states them.

    A part that states one axis alone, no positive number, or what no microscope has, is not
    passed over for a weaker one: who wrote it meant something.

    Args:
        x: as it stands there, a text or a number; None where nothing is stated.
        y: the same.
        path: of the file, for the error.
        where: the part of the file, for the error.
        scales: micrometres in the units of x and of y.

    Returns:
        Both, or None where neither is stated.

    Raises:
        InputError: one is missing, no positive number, or not plausible.
    """
    if x is None and y is None:
        return None
    try:
        both = float(x) * scales[0], float(y) * scales[1]
    except (TypeError, ValueError):
        both = math.nan, math.nan
    if not all(0 < value < math.inf for value in both):
        raise InputError(
            f'{path}: its {where} states {x} um/px along x and {y} along y; want both, or the '
            'right value as --mpp with --override_mpp'
        )
    if not all(map(is_plausible, both)):
        low, high = PLAUSIBLE
        raise InputError(
            f'{path}: its {where} states {both[0]:g} um/px along x and {both[1]:g} along y, which '
            f'is not plausible; want {low:g} to {high:g}, or the right value as --mpp with '
            '--override_mpp'
        )
    return both
