"""um/px as files state it, which is taken whole or not at all."""

import math
from pathlib import Path
from typing import Any

from ocelot_jax.io.errors import InputError


def check(x: Any, y: Any, path: Path, where: str) -> tuple[float, float] | None:
    """Gives micrometres per pixel along both axes, as one part of a file states them.

    A part that states one axis alone, or no positive number, is not passed over for a weaker one:
    who wrote it meant something.

    Args:
        x: as it stands there, a text or a number; None where nothing is stated.
        y: the same.
        path: of the file, for the error.
        where: the part of the file, for the error.

    Returns:
        Both, or None where neither is stated.

    Raises:
        InputError: one is missing or no positive number.
    """
    if x is None and y is None:
        return None
    try:
        both = float(x), float(y)
    except (TypeError, ValueError):
        both = math.nan, math.nan
    if not all(0 < value < math.inf for value in both):
        raise InputError(
            f'{path}: its {where} states {x} um/px along x and {y} along y; want both, or the '
            'right value as --mpp with --override_mpp'
        )
    return both
