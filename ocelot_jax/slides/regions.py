"""The pieces of tissue on a slide, and which of them each place belongs to."""

import dataclasses

import numpy as np
import scipy.ndimage

from ocelot_jax.slides import windows

# Of all foreground; a smaller piece is no region of its own.
_MIN_SHARE = 0.01


@dataclasses.dataclass(frozen=True)
class Regions:
    """The regions of a slide, numbered from 1, the largest first.

    Attributes:
        count: R, their number; 0 on a slide without tissue.
        inside: [h, w] int32, the region of each foreground pixel, 0 elsewhere.
        nearest: [h, w] int32, the region at or nearest to each pixel; 0 only where there is none.
        mpp: micrometres per pixel of both maps.
        areas_mm2: [R] float64, of each.
    """

    count: int
    inside: np.ndarray
    nearest: np.ndarray
    mpp: float
    areas_mm2: np.ndarray

    def of(self, micrometres: np.ndarray) -> np.ndarray:
        """Tells the region of each place.

        Args:
            micrometres: [n, 2], (x, y) from the slide's top left corner.

        Returns:
            [n] int32, 1..R, or all 0 where there is no region.
        """
        x, y = np.floor(micrometres / self.mpp).astype(np.int64).T
        height, width = self.nearest.shape
        return self.nearest[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]

    def anchors(self) -> np.ndarray:
        """Finds a place deep inside each region: [R, 2] float64, (x, y) in micrometres."""
        # A rim of nothing makes the border of the picture a border of tissue.
        depth = scipy.ndimage.distance_transform_edt(np.pad(self.inside > 0, 1))[1:-1, 1:-1]
        numbers = range(1, self.count + 1)
        deepest = scipy.ndimage.maximum_position(depth, self.inside, numbers)
        return (np.array(deepest, np.float64).reshape(-1, 2)[:, ::-1] + 0.5) * self.mpp


def find_regions(foreground: np.ndarray, mpp: float, size_um: tuple[float, float]) -> Regions:
    """Finds the connected pieces of the foreground; pixels that touch at a corner are connected.

    A piece with less than 1% of all foreground is no region of its own: it belongs to the region
    nearest to it, pixel by pixel, so that areas and cells of the regions add up to the slide's.

    Args:
        foreground: [h, w] bool.
        mpp: micrometres per pixel.
        size_um: width and height of the slide.
    """
    areas = np.outer(*windows.sides_mm(foreground.shape, mpp, size_um))

    def measure(numbers: np.ndarray, count: int) -> np.ndarray:
        return np.bincount(numbers.ravel(), areas.ravel(), count + 1)[1:]

    pieces, count = scipy.ndimage.label(foreground, np.ones((3, 3)))
    sizes = measure(pieces, count)
    order = np.argsort(-sizes, kind='stable')
    kept = order[sizes[order] >= _MIN_SHARE * sizes.sum()]
    if count and not len(kept):
        kept = order[:1]
    number_of = np.zeros(count + 1, np.int32)
    number_of[kept + 1] = np.arange(1, len(kept) + 1)
    regions = number_of[pieces]
    if not len(kept):
        return Regions(0, regions, regions, mpp, np.zeros(0))
    rows, columns = scipy.ndimage.distance_transform_edt(
        regions == 0, return_distances=False, return_indices=True
    )
    nearest = regions[rows, columns]
    inside = np.where(foreground, nearest, 0).astype(np.int32)
    return Regions(len(kept), inside, nearest, mpp, measure(inside, len(kept)))
