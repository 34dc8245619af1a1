"""Detection as a run's configuration wants it, at the um/px of each patch."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from ocelot_jax.inference import detection
from ocelot_jax.inference.detection import PaddedCells
from ocelot_jax.io.errors import InputError
from ocelot_jax.metrics import calibration

_BACKENDS: dict[str, Callable[..., PaddedCells]] = {
    'jax': detection.detect,
    'skimage': detection.detect_skimage,
}


class Detector:
    """Finds cells in class probabilities.

    Args:
        config: `config.detection`.

    Attributes:
        max_cells: the most cells of a patch.

    Raises:
        InputError: the configuration names no backend that there is.
    """

    def __init__(self, config: ml_collections.ConfigDict):
        if config.backend not in _BACKENDS:
            raise InputError(
                f'config.detection.backend: {config.backend!r}; want one of {", ".join(_BACKENDS)}'
            )
        self._detect = _BACKENDS[config.backend]
        self._sigma_um, self._min_distance_um = config.sigma_um, config.min_distance_um
        self._threshold, self._temperature = config.threshold, config.temperature
        self.max_cells = config.max_cells

    def min_distance(self, cell_mpp: float) -> int:
        """Gives the least distance between two cells, in whole pixels of `cell_mpp` um/px."""
        return detection.to_whole_pixels(self._min_distance_um, cell_mpp)

    def reach(self, cell_mpp: float) -> int:
        """Tells how far a pixel can be from another and still decide whether that is a cell."""
        radius = detection.smoothing_radius(self._sigma(cell_mpp))
        return self.min_distance(cell_mpp) + radius

    def doubt_of_crowded(self, count: int) -> str | None:
        """A sentence on `count` patches with more cells than `max_cells`; None where it is 0."""
        if not count:
            return None
        return (
            f'{count} patches have more peaks than config.detection.max_cells = {self.max_cells}; '
            'the lowest were left out, a larger value keeps them'
        )

    def __call__(self, probs: Any, cell_mpp: float | np.ndarray) -> PaddedCells:
        """Finds cells, each patch by lengths in its own pixels.

        Args:
            probs: [B,H,W,1+K], class probabilities.
            cell_mpp: micrometres per pixel, of all patches or [B] of each.
        """
        # as few digits as tell a float32: lengths of 1.5 um at 0.2 um/px are 7.5 px, not 7.4999
        mpps = [float(str(mpp)) for mpp in np.broadcast_to(cell_mpp, len(probs))]
        sigmas = np.array([self._sigma(mpp) for mpp in mpps])
        # programs are compiled for whole pixels, which few um/px tell apart
        kinds = [(self.min_distance(mpp), self.reach(mpp)) for mpp in mpps]

        def find(rows: np.ndarray) -> PaddedCells:
            first = rows.argmax()
            return self._detect(
                probs,
                sigma=np.where(rows, sigmas, sigmas[first]),
                min_distance=kinds[first][0],
                threshold=self._threshold,
                max_cells=self.max_cells,
            )

        first, *others = (
            np.array([each == kind for each in kinds]) for kind in dict.fromkeys(kinds)
        )
        found = find(first)
        for rows in others:
            found = _choose(rows, find(rows), found)
        return found if self._temperature == 1 else _temper(found, self._temperature)

    def _sigma(self, cell_mpp: float) -> float:
        return detection.to_pixels(self._sigma_um, cell_mpp)


def _temper(cells: PaddedCells, temperature: float) -> PaddedCells:
    """Tempers the confidences of cells where they lie; those of the padding stay 0."""
    scores = calibration.temper(cells.scores, temperature)
    return cells.replace(scores=scores * (cells.labels > 0))


def _choose(rows: np.ndarray, chosen: PaddedCells, others: PaddedCells) -> PaddedCells:
    """Takes some rows of the one, and the rest of the others, without waiting for a device."""

    def choose(one: Any, other: Any) -> Any:
        xp = jnp if isinstance(one, jax.Array) else np
        return xp.where(rows.reshape(-1, *[1] * (one.ndim - 1)), one, other)

    return jax.tree.map(choose, chosen, others)
