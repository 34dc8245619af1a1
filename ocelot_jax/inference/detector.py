"""Detection as a run's configuration wants it."""

from typing import Any

import ml_collections

from ocelot_jax.inference import detection
from ocelot_jax.io.errors import InputError

_BACKENDS = {'jax': detection.detect, 'skimage': detection.detect_skimage}


class Detector:
    """Finds cells in class probabilities.

    Args:
        config: `config.detection`.
        cell_mpp: micrometres per pixel of the cell patches; makes pixels of the config's lengths.

    Attributes:
        min_distance: least distance between two cells, in whole pixels.
        max_cells: the most cells of a patch.
        reach: how far a pixel can be from another and still decide whether that is a cell.

    Raises:
        InputError: the configuration names no backend that there is.
    """

    def __init__(self, config: ml_collections.ConfigDict, cell_mpp: float):
        if config.backend not in _BACKENDS:
            raise InputError(
                f'config.detection.backend: {config.backend!r}; want one of {", ".join(_BACKENDS)}'
            )
        self._detect = _BACKENDS[config.backend]
        sigma = detection.to_pixels(config.sigma_um, cell_mpp)
        self.min_distance = detection.to_whole_pixels(config.min_distance_um, cell_mpp)
        self.reach = self.min_distance + detection.smoothing_radius(sigma)
        self.max_cells = config.max_cells
        self._settings = {
            'sigma': sigma,
            'min_distance': self.min_distance,
            'threshold': config.threshold,
            'max_cells': config.max_cells,
        }

    def __call__(self, probs: Any) -> detection.PaddedCells:
        """Finds the cells in [B,H,W,1+K]."""
        return self._detect(probs, **self._settings)
