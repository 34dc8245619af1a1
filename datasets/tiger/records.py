"""The records of one region's pairs."""

import functools
import io
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from ocelot_jax.datasets.tiger import geometry, plan, release
from PIL import Image

# The data are given at about this; the tissue patch is shrunk to the cell patch's size.
_CELL_MPP = np.float32(0.5)
_TISSUE_MPP = _CELL_MPP * geometry.STEPS


def region_examples(
    region: plan.Region, root: pathlib.Path
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the examples of a region, which is held in memory until the last one.

    Args:
        region: the region.
        root: the folder in which `tissue-bcss` and `tissue-cells` lie.

    Yields:
        The pair's id, and its record with images and mask as the bytes of PNGs.
    """
    image = release.load_image(root, region.image)
    mask = release.load_mask(root, region.mask)

    # Of 16 pairs, either the cell patch or the tissue patch is the same.
    @functools.cache
    def cell_patch(name: str, corner: geometry.Corner) -> dict[str, Any]:
        source = image if name == region.image else release.load_image(root, name)
        x, y = geometry.cells_inside(region.boxes[name], corner).T
        return {
            'cell_image': _png(_crop(source, corner, geometry.CELL_SIZE)),
            'cells': {'x': x, 'y': y, 'label': np.ones(len(x), np.int64)},
        }

    @functools.cache
    def tissue_patch(corner: geometry.Corner) -> dict[str, Any]:
        color, classes = (_crop(pixels, corner, geometry.TISSUE_SIZE) for pixels in (image, mask))
        return {
            'tissue_image': _png(geometry.shrink_image(color)),
            'tissue_mask': _png(geometry.shrink_mask(classes)),
        }

    for pair in region.pairs:
        yield (
            pair.pair_id,
            {
                'pair_id': pair.pair_id,
                'slide_name': region.slide,
                'organ': 'breast',
                **cell_patch(pair.cell_image, pair.cell_corner),
                **tissue_patch(pair.tissue_corner),
                'center': np.array(pair.center, np.float32),
                'cell_mpp': _CELL_MPP,
                'tissue_mpp': _TISSUE_MPP,
            },
        )


def _crop(pixels: np.ndarray, corner: geometry.Corner, size: int) -> np.ndarray:
    x, y = corner
    return pixels[y : y + size, x : x + size]


def _png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, 'PNG')
    return stream.getvalue()
