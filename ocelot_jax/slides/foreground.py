"""Finds the tissue of a slide at low resolution, without glass and pen marks."""

from collections.abc import Callable

import numpy as np
from scipy import ndimage
from skimage import filters

from ocelot_jax.slides import windows
from ocelot_jax.slides.slide import Slide

# [h,w,3] uint8, and its um/px
Overview = tuple[np.ndarray, float]
ReadOverview = Callable[[Slide], Overview]

_MPP = 8.0
_SIDE = 2000
# Of 255. Below the first is glass in any light, above the second nothing is.
_CHROMA = (8.0, 24.0)
_SMOOTHING_UM = 12.0
_GAP_UM = 40.0
_PEN_RIM_UM = 32.0
_SPECK_UM2 = 3000.0


def overview(slide: Slide) -> Overview:
    """A picture of the whole slide, at most 2000 px a side.

    Returns:
        [h,w,3] uint8, and its um/px.
    """
    mpp = max(slide.mpp, slide.mpp * max(slide.width, slide.height) / _SIDE)
    return slide.overview(mpp), mpp


def find(picture: np.ndarray, mpp: float) -> tuple[np.ndarray, float]:
    """Finds tissue: what is stained, and not by a pen.

    Stains absorb green most (hematoxylin, eosin) or blue (DAB); inks of blue and green pens
    absorb red far more than green, black ones all alike, red ones hardly any red, whereas they
    are darker than eosin in all else. The threshold between glass and stain is Otsu's on the
    chroma, within bounds, because not every slide shows both.

    Args:
        picture: [h,w,3] uint8.
        mpp: its um/px.

    Returns:
        [h,w] bool, true on tissue, at 8 um/px or as coarse as `picture`; and its um/px.
    """
    step = max(1, int(_MPP / mpp))
    mpp *= step
    colors = _shrink(picture, step)
    colors = ndimage.gaussian_filter(colors, (_SMOOTHING_UM / mpp / 2,) * 2 + (0,))
    chroma = colors.max(-1) - colors.min(-1)
    threshold = np.clip(filters.threshold_otsu(chroma) if np.ptp(chroma) else 0, *_CHROMA)
    stained = chroma > threshold
    pen = ndimage.binary_dilation(_is_pen(colors), iterations=_pixels(_PEN_RIM_UM, mpp))
    reach = _pixels(_GAP_UM / 2, mpp)
    closed = ndimage.binary_closing(np.pad(stained & ~pen, reach), iterations=reach)
    closed = closed[reach:-reach, reach:-reach] & ~pen
    # what it takes of scikit-image's remove_small_objects has another name in older releases
    pieces, _ = ndimage.label(closed)
    is_large = np.bincount(pieces.ravel()) > max(1, int(_SPECK_UM2 / mpp**2))
    return closed & is_large[pieces], mpp


def area_mm2(mask: np.ndarray, mpp: float, size_um: tuple[float, float]) -> float:
    """Tells the area of a foreground [h,w] of `mpp` um/px on a slide of that width and height."""
    heights, widths = windows.sides_mm(mask.shape, mpp, size_um)
    return float(heights @ mask @ widths)


def _pixels(length_um: float, mpp: float) -> int:
    return max(1, round(length_um / mpp))


def _shrink(picture: np.ndarray, step: int) -> np.ndarray:
    """Means over squares of `step` pixels, [h,w,3] float32; those at the end are smaller."""
    edges = [np.arange(0, n, step) for n in picture.shape[:2]]
    sums = np.add.reduceat(picture, edges[0], 0, np.float32)
    sums = np.add.reduceat(sums, edges[1], 1)
    rows, columns = (
        np.diff(np.append(e, n)) for e, n in zip(edges, picture.shape[:2], strict=True)
    )
    return sums / (rows[:, None] * columns)[..., None]


def _is_pen(colors: np.ndarray) -> np.ndarray:
    """Where the color [h,w,3] is a pen's."""
    red, green, blue = np.moveaxis(-np.log((colors + 1) / 256), -1, 0)
    darkest, lightest = np.maximum(np.maximum(red, green), blue), np.minimum(red, blue)
    lightest = np.minimum(lightest, green)
    cold = (red > 1.3 * green) & (red > 0.7)
    black = (lightest > 1.1) & (darkest < 1.25 * lightest)
    hot = (green > 1.3) & (red < 0.2 * green) & (blue > 0.7 * green)
    return cold | black | hot
