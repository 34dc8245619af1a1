"""Where Algorithms 1 and 2 of the paper (Appendix F) cut patches, and what they make of them.

Corners, boxes and sizes are pixels of an image counted from its upper left corner, as in
`image[y:y + size, x:x + size]`; x to the right, y down.
"""

import numpy as np
from PIL import Image

from ocelot_jax.io.errors import InputError

# Sz_c and Sz_t: sides of the square patches as they are cut. Tissue patches then shrink to the
# cell patches' side.
CELL_SIZE = 128
TISSUE_SIZE = 512
STEPS = TISSUE_SIZE // CELL_SIZE

# Algorithm 2 takes images that are larger than this both ways.
MIN_LARGE = 1024

UNKNOWN = 255
BACKGROUND, STROMA = 0, 1
_CLASSES = {
    0: UNKNOWN,  # unannotated or excluded
    1: BACKGROUND,  # invasive tumor
    2: STROMA,  # tumor-associated stroma
    3: BACKGROUND,  # in-situ tumor
    4: BACKGROUND,  # healthy glands
    5: BACKGROUND,  # necrosis not in-situ
    6: STROMA,  # inflamed stroma
    7: BACKGROUND,  # rest
}

# A step (i, j) counts rows and columns of a grid, as the algorithms do; a corner is (x, y).
Step = tuple[int, int]
Corner = tuple[int, int]


def surrounding_tissue(roi: Corner, region: tuple[int, int]) -> dict[Step, Corner]:
    """Places the tissue patches around a cell ROI (Algorithm 1, lines 14 to 17).

    Args:
        roi: upper left corner of the cell ROI in the region; may lie outside.
        region: (width, height) of the region.

    Returns:
        The corners in the region, by step, of those of the 16 patches that do not exceed it. The
        cell patch lies in the patch of step (i, j) at `cell_grid()[i, j]`.
    """
    x, y = roi
    width, height = region
    corners = {(i, j): (x - dx, y - dy) for (i, j), (dx, dy) in cell_grid().items()}
    return {
        step: (x, y)
        for step, (x, y) in corners.items()
        if 0 <= x <= width - TISSUE_SIZE and 0 <= y <= height - TISSUE_SIZE
    }


def tissue_grid(image: tuple[int, int]) -> dict[Step, Corner]:
    """Places tissue patches side by side in an image (Algorithm 2, lines 7 to 9).

    Args:
        image: (width, height) of the image.

    Returns:
        The corners by step: of whole patches only, and of none in an image that is not large.
    """
    width, height = image
    if width <= MIN_LARGE or height <= MIN_LARGE:
        return {}
    return _grid(height // TISSUE_SIZE, width // TISSUE_SIZE, TISSUE_SIZE)


def cell_grid() -> dict[Step, Corner]:
    """Places the 16 cell patches in a tissue patch, by step (Algorithm 2, lines 14 and 15)."""
    return _grid(STEPS, STEPS, CELL_SIZE)


def _grid(rows: int, columns: int, size: int) -> dict[Step, Corner]:
    return {(i, j): (j * size, i * size) for i in range(rows) for j in range(columns)}


def relative_center(corner: Corner) -> tuple[float, float]:
    """Tells the relative center (c_x, c_y) of a cell patch by its corner in the tissue patch."""
    x, y = corner
    return (x + CELL_SIZE / 2) / TISSUE_SIZE, (y + CELL_SIZE / 2) / TISSUE_SIZE


def box_centers(boxes: np.ndarray) -> np.ndarray:
    """Turns boxes [n, 4] float64 (x, y, width, height) into their centers [n, 2] float64."""
    return boxes[:, :2] + boxes[:, 2:] / 2


def cells_inside(boxes: np.ndarray, corner: Corner) -> np.ndarray:
    """Keeps the cells of a cell patch (`FilterBboxes` of both algorithms).

    A cell belongs to the patch that its box's center lies in, so to one patch of a grid.

    Args:
        boxes: [n, 4] float64 (x, y, width, height), pixels of the image.
        corner: upper left corner of the cell patch in the same image.

    Returns:
        [m, 2] float32 (x, y): pixels of the patch, pixel centers at integers. A pixel reaches
        half a pixel to either side, so that coordinates are in [-0.5, 127.5).
    """
    points = box_centers(boxes) - corner
    inside = np.all((points >= 0) & (points < CELL_SIZE), axis=-1)
    return (points[inside] - 0.5).astype(np.float32)


def tissue_classes(mask: np.ndarray) -> np.ndarray:
    """Maps TIGER's tissue classes [h, w] uint8 to 0 BG, 1 ST and 255 UNK, likewise [h, w] uint8.

    Raises:
        InputError: if there is any other value than 0..7; the text names it.
    """
    if mask.max(initial=0) not in _CLASSES:
        value = mask[mask > max(_CLASSES)].min()
        raise InputError(f'mask value {value} is no class; want 0..{max(_CLASSES)}')
    return np.array(list(_CLASSES.values()), np.uint8)[mask]


def shrink_image(image: np.ndarray) -> np.ndarray:
    """Averages a tissue patch [512, 512, 3] uint8 over areas down to [128, 128, 3] uint8."""
    return np.asarray(Image.fromarray(image).reduce(STEPS))


def shrink_mask(mask: np.ndarray) -> np.ndarray:
    """Takes the pixels [128, 128] nearest to the centers of the areas of a mask [512, 512]."""
    return mask[STEPS // 2 :: STEPS, STEPS // 2 :: STEPS]
