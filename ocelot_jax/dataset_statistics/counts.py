"""What one pair adds to a data set's statistics: arrays in, counts out."""

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from ocelot_jax.data import release
from ocelot_jax.io.errors import InputError


@dataclasses.dataclass(frozen=True, slots=True)
class PairCounts:
    """The counts of one pair, which add, and what the checks compare.

    Attributes:
        pair_id: the pair's id.
        split: 'train', 'validation' or 'test'.
        slide_name: the slide.
        organ: the organ.
        cells: [K, T + 1] int64, the cells in the patch of each class by the tissue class at
            their place; the last column is unknown tissue.
        pixels: [T + 1] int64, the tissue mask's pixels by class; the last is unknown.
        cell_size: (width, height) of the cell patch, pixels.
        tissue_size: (width, height) of the tissue patch, pixels.
        cell_mpp: micrometres per pixel of the cell patch.
        tissue_mpp: micrometres per pixel of the tissue patch.
        outside: annotated cells that lie outside the cell patch, and are not in `cells`.
        overhang: pixels of the tissue patch by which the cell patch reaches out of it.
        cell_digest: of the cell patch's pixels; None where they all have one color.
        tissue_digest: of the tissue patch's pixels; None where they all have one color.
        cells_digest: of the cells' places and labels, in whatever order they come.
        mask_digest: of the tissue mask.
    """

    pair_id: str
    split: str
    slide_name: str
    organ: str
    cells: np.ndarray
    pixels: np.ndarray
    cell_size: tuple[int, int]
    tissue_size: tuple[int, int]
    cell_mpp: float
    tissue_mpp: float
    outside: int
    overhang: float
    cell_digest: bytes | None
    tissue_digest: bytes | None
    cells_digest: bytes
    mask_digest: bytes


def count_pair(
    record: Mapping[str, Any], split: str, cell_classes: int, tissue_classes: int
) -> PairCounts:
    """Counts what one record holds.

    Args:
        record: of a `data.sources.Source`; cells may lie anywhere.
        split: the split it is of.
        cell_classes: K; labels are 1..K.
        tissue_classes: T; the mask holds 0..T-1, and 255 for unknown.

    Raises:
        InputError: if a label or a mask's value is of no class, or the mask's size is not the
            tissue image's.
    """
    mask, labels = record['tissue_mask'][..., 0], record['cells']['label']
    cell_size, tissue_size = (record[name].shape[1::-1] for name in ('cell_image', 'tissue_image'))
    if mask.shape[::-1] != tissue_size:
        raise InputError(
            f'pair {record["pair_id"]}: tissue_mask is {mask.shape[1]} x {mask.shape[0]}, but '
            f'tissue_image {tissue_size[0]} x {tissue_size[1]}; want one size'
        )
    known = mask[mask != release.UNKNOWN]
    where = f'pair {record["pair_id"]}'
    _check(where, 'label', labels, 1, cell_classes, '--cell_classes')
    _check(where, 'tissue_mask value', known, 0, tissue_classes, '--tissue_classes')
    points = np.stack([record['cells']['x'], record['cells']['y']], axis=-1).astype(np.float64)
    center = np.asarray(record['center'], np.float64)
    cell_mpp, tissue_mpp = float(record['cell_mpp']), float(record['tissue_mpp'])
    scale = cell_mpp / tissue_mpp
    middle, half = center * tissue_size, np.array(cell_size) * scale / 2
    overhang = max(0.0, np.max(half - middle), np.max(middle + half - tissue_size))
    # a pixel reaches half a pixel to either side of its center
    inside = ((points >= -0.5) & (points < np.array(cell_size) - 0.5)).all(axis=-1)
    tissue = tissue_at(mask, points[inside], center, cell_size, scale)
    tissue = np.where(tissue == release.UNKNOWN, tissue_classes, tissue)
    cells = np.zeros((cell_classes, tissue_classes + 1), np.int64)
    np.add.at(cells, (labels[inside] - 1, tissue), 1)
    pixels = np.bincount(known, minlength=tissue_classes)
    return PairCounts(
        pair_id=record['pair_id'],
        split=split,
        slide_name=record['slide_name'],
        organ=record['organ'],
        cells=cells,
        pixels=np.append(pixels, mask.size - known.size),
        cell_size=cell_size,
        tissue_size=tissue_size,
        cell_mpp=cell_mpp,
        tissue_mpp=tissue_mpp,
        outside=int(np.sum(~inside)),
        overhang=float(overhang),
        cell_digest=digest(record['cell_image']),
        tissue_digest=digest(record['tissue_image']),
        cells_digest=_hash(np.array(sorted(zip(*points.T, labels, strict=True)))),
        mask_digest=_hash(mask),
    )


def _check(where: str, what: str, values: np.ndarray, first: int, count: int, flag: str) -> None:
    """Raises an `InputError` unless all values are classes, `first` and the next ones."""
    wrong = values[(values < first) | (values >= first + count)]
    if wrong.size:
        raise InputError(
            f'{where}: {what} {wrong.min()} is of no class; want {first}..{first + count - 1}, '
            f'or more names in {flag}'
        )


def tissue_at(
    mask: np.ndarray,
    points: np.ndarray,
    center: np.ndarray,
    cell_size: tuple[int, int],
    scale: float,
) -> np.ndarray:
    """Looks up the tissue class at the physical place of each cell (Table 3).

    The pixel (x, y) of the cell patch has its middle at (x + 0.5, y + 0.5) pixels from the
    patch's corner, and the middle of the cell patch lies at `center` of the tissue patch: of
    1024 pixels at four times the micrometres per pixel, the cell patch covers
    1024 c - 128 .. 1024 c + 128.

    Args:
        mask: [h, w] integers, the tissue classes.
        points: [n, 2] (x, y), pixels of the cell patch, centers at integers.
        center: [2] relative center (c_x, c_y) of the cell patch in the tissue patch.
        cell_size: (width, height) of the cell patch, pixels.
        scale: micrometres per pixel of the cell patch over those of the tissue patch.

    Returns:
        [n], the mask's value; 255 where a place is more than a pixel outside the mask. (The
        release rounds its centers to about a pixel.)
    """
    size = np.array(mask.shape[::-1])
    place = center * size + (points + 0.5 - np.array(cell_size) / 2) * scale
    column, row = np.clip(np.floor(place), 0, size - 1).astype(np.int64).T
    near = ((place >= -1) & (place < size + 1)).all(axis=-1)
    return np.where(near, mask[row, column], release.UNKNOWN)


def digest(image: np.ndarray) -> bytes | None:
    """Gives 16 bytes that two images share only if size and all pixels are the same.

    None where all pixels have one color: empty glass looks the same in any slide.
    """
    return None if (image == image[0, 0]).all() else _hash(image)


def _hash(array: np.ndarray) -> bytes:
    code = hashlib.blake2b(repr(array.shape).encode(), digest_size=16)
    code.update(np.ascontiguousarray(array).data)
    return code.digest()
