"""Which pairs are cut from which regions: Algorithms 1 and 2 of the paper (Appendix F)."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from ocelot_jax.datasets.tiger import geometry, release


@dataclasses.dataclass(frozen=True)
class Pair:
    """Where one pair of patches lies.

    Attributes:
        pair_id: name of the cell's image and steps of the tissue and the cell patch.
        cell_image: path, relative to the root, of the image that the cell patch is cut from.
        cell_corner: (x, y) of the cell patch in that image, pixels.
        tissue_corner: (x, y) of the tissue patch in the region, pixels.
        center: relative center (c_x, c_y) of the cell patch in the tissue patch.
    """

    pair_id: str
    cell_image: str
    cell_corner: geometry.Corner
    tissue_corner: geometry.Corner
    center: tuple[float, float]


@dataclasses.dataclass(frozen=True, eq=False)
class Region:
    """A region and all the pairs whose tissue patches are cut from it.

    Attributes:
        image: path of the image, relative to the root.
        mask: path of the mask, relative to the root.
        slide: name of the slide.
        pairs: the pairs, at least one.
        boxes: [n, 4] float64 (x, y, width, height) by the `cell_image` that they are in.
    """

    image: str
    mask: str
    slide: str
    pairs: tuple[Pair, ...]
    boxes: Mapping[str, np.ndarray]


def plan(rois: Sequence[release.Roi]) -> list[Region]:
    """Places every pair.

    Args:
        rois: all regions of both folders.

    Returns:
        The regions from which there are pairs.
    """
    cell_rois = [roi for roi in rois if roi.folder == release.CELLS]
    tcga = _plan_tcga(
        [roi for roi in rois if roi.folder == release.REGIONS],
        [roi for roi in cell_rois if roi.is_tcga],
    )
    return [*tcga, *_plan_others([roi for roi in cell_rois if not roi.is_tcga])]


def _plan_tcga(regions: Sequence[release.Roi], cell_rois: Sequence[release.Roi]) -> list[Region]:
    """Pairs cell ROIs with the tissue patches around them (Algorithm 1)."""
    by_slide = collections.defaultdict(list)
    for region in regions:
        by_slide[region.slide].append(region)
    placed = collections.defaultdict(list)
    for roi in cell_rois:
        if min(roi.size) >= geometry.CELL_SIZE:
            corners = {region: _tissue_around(roi, region) for region in by_slide[roi.slide]}
            # Where regions overlap, the one that shows more of what is around.
            region = max(corners, key=lambda region: len(corners[region]))
            placed[region].append((roi, corners[region]))
    planned = []
    for region, held in placed.items():
        pairs = tuple(_tcga_pair(roi, *place) for roi, at in held for place in at.items())
        if pairs:
            boxes = {roi.image: roi.boxes for roi, _ in held}
            planned.append(Region(region.image, region.mask, region.slide, pairs, boxes))
    return planned


def _tissue_around(roi: release.Roi, region: release.Roi) -> dict[geometry.Step, geometry.Corner]:
    (x, y), (left, top) = roi.corner, region.corner
    return geometry.surrounding_tissue((x - left, y - top), region.size)


def _tcga_pair(roi: release.Roi, step: geometry.Step, tissue_corner: geometry.Corner) -> Pair:
    # Its upper left part is all that is taken of the ROI.
    i, j = step
    return Pair(
        pair_id=f'{_stem(roi)}_t{i}-{j}',
        cell_image=roi.image,
        cell_corner=(0, 0),
        tissue_corner=tissue_corner,
        center=geometry.relative_center(geometry.cell_grid()[step]),
    )


def _plan_others(rois: Sequence[release.Roi]) -> list[Region]:
    """Cuts large regions into tissue patches and these into cell patches (Algorithm 2)."""
    planned = []
    for roi in rois:
        pairs = tuple(
            _other_pair(roi, *tissue, *cell)
            for tissue in geometry.tissue_grid(roi.size).items()
            for cell in geometry.cell_grid().items()
        )
        if pairs:
            boxes = {roi.image: roi.boxes}
            planned.append(Region(roi.image, roi.mask, roi.slide, pairs, boxes))
    return planned


def _other_pair(
    roi: release.Roi,
    tissue_step: geometry.Step,
    tissue_corner: geometry.Corner,
    cell_step: geometry.Step,
    offset: geometry.Corner,
) -> Pair:
    steps = '_'.join(f'{k}{i}-{j}' for k, (i, j) in (('t', tissue_step), ('c', cell_step)))
    return Pair(
        pair_id=f'{_stem(roi)}_{steps}',
        cell_image=roi.image,
        cell_corner=(tissue_corner[0] + offset[0], tissue_corner[1] + offset[1]),
        tissue_corner=tissue_corner,
        center=geometry.relative_center(offset),
    )


def _stem(roi: release.Roi) -> str:
    return roi.name.removesuffix('.png')
