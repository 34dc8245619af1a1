"""The tissue map as a pyramidal, tiled OME-TIFF, which QuPath, napari and Bio-Formats open.

Pixels are class indices as the network's tissue branch has them, 0..T-1, and 255 where nothing was
predicted; the OME-XML names them. A level holds every second pixel of the one before: a picture of
indices has no averages.

The map covers what QuPath shows of the slide, its bounds, so that the one lies on the other. Its
pixels are the network's, which begin up to half of one before or after the bounds.
"""

import hashlib
import os
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import tifffile

from ocelot_jax.io import atomic
from ocelot_jax.slides.result import UNPREDICTED, SlideResult

_TILE = 512


def write(result: SlideResult, path: str | os.PathLike[str]) -> None:
    """Writes the tissue map of a slide; the file appears whole or not at all.

    Tiles are read from `result.tissue` one by one, so that a memmap never has to fit in memory.

    Args:
        result: what was found, with a tissue map.
        path: the file to write, `.ome.tif`; its folder must exist.
    """
    tissue = in_qupath_frame(result)
    levels = _levels(tissue)
    # A map may pass the 4 GiB of plain TIFF.
    with (
        atomic.replacing(path) as temporary,
        tifffile.TiffWriter(temporary, ome=True, bigtiff=True) as writer,
    ):
        for number, level in enumerate(levels):
            first = number == 0
            per_centimetre = 1e4 / (result.tissue_mpp * 2**number)
            writer.write(
                _tiles(level),
                shape=level.shape,
                resolution=(per_centimetre, per_centimetre),
                subifds=len(levels) - 1 if first else 0,
                subfiletype=0 if first else 1,
                metadata=_metadata(result, tissue) if first else None,
                dtype=np.uint8,
                tile=(_TILE, _TILE),
                compression='zlib',
                photometric='minisblack',
                resolutionunit='CENTIMETER',
            )


def in_qupath_frame(result: SlideResult) -> np.ndarray:
    """Views the part of the tissue map that `SlideResult.qupath_frame` covers."""
    rows, columns = qupath_slices(result)
    return result.tissue_map[rows, columns]


def qupath_slices(result: SlideResult) -> tuple[slice, slice]:
    """Tells the rows and columns of the tissue map whose centers QuPath shows, one at least."""

    def shown(start: int, length: int, limit: int) -> slice:
        first, end = (
            first_pixel(place, result.mpp, result.tissue_mpp) for place in (start, start + length)
        )
        first = min(first, limit - 1)
        return slice(first, max(first + 1, min(end, limit)))

    x, y, width, height = result.qupath_frame
    rows, columns = result.tissue_map.shape
    return shown(y, height, rows), shown(x, width, columns)


def first_pixel(place: int, mpp: float, tissue_mpp: float) -> int:
    """Tells which pixel of the map a border of the frame, in level-0 pixels, is set to."""
    return round(place * mpp / tissue_mpp)


def read(path: str | os.PathLike[str], step: int) -> tuple[np.ndarray, int]:
    """Reads a map that `write` wrote, at a level that holds at least every `step`-th pixel.

    Returns:
        [h,w] uint8, and how many pixels of the map one of these is wide.
    """
    with tifffile.TiffFile(path) as tiff:
        levels = tiff.series[0].levels
        number = min(step.bit_length() - 1, len(levels) - 1)
        return levels[number].asarray(), 2**number


def class_names(tissue_classes: tuple[str, ...]) -> dict[str, str]:
    """Names the values of the map's pixels."""
    names = {str(value): name for value, name in enumerate(tissue_classes)}
    return names | {str(UNPREDICTED): 'not predicted'}


def _levels(tissue: np.ndarray) -> list[np.ndarray]:
    """Views the map at 1, 1/2, 1/4, ... of its size, down to one tile."""
    levels = [tissue]
    while max(levels[-1].shape) > _TILE and min(levels[-1].shape) > 1:
        step = 2 ** len(levels)
        # The pixel right below the middle of each block: no corner is preferred.
        levels.append(tissue[step // 2 :: step, step // 2 :: step])
    return levels


def _tiles(level: np.ndarray) -> Iterator[np.ndarray]:
    height, width = level.shape
    for top in range(0, height, _TILE):
        for left in range(0, width, _TILE):
            yield np.ascontiguousarray(level[top : top + _TILE, left : left + _TILE])


def _metadata(result: SlideResult, tissue: np.ndarray) -> dict[str, Any]:
    names = class_names(result.tissue_classes)
    # of the pixels, so that the same map is the same file; otherwise it tells time and machine
    digest = hashlib.sha256()
    for row in tissue:
        digest.update(np.ascontiguousarray(row).data)
    return {
        'UUID': str(uuid.uuid5(uuid.NAMESPACE_OID, f'{result.name} {digest.hexdigest()}')),
        'axes': 'YX',
        'Name': f'{result.name} tissue',
        'Description': ', '.join(f'{value} = {name}' for value, name in names.items()),
        'PhysicalSizeX': result.tissue_mpp,
        'PhysicalSizeXUnit': 'µm',
        'PhysicalSizeY': result.tissue_mpp,
        'PhysicalSizeYUnit': 'µm',
        'Channel': {'Name': ['tissue class']},
        'MapAnnotation': {'Namespace': 'ocelot_jax/tissue_classes', **names},
    }
