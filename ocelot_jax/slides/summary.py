"""A slide in numbers: tumor purity, cells and areas, of the whole and of each region.

Tumor purity is the share of tumor cells among the cells that were found, TC / (TC + BC) or what
`SlideResult.purity_classes` tells; it is known where that is and there is such a cell. Areas of
tissue classes are counted within the foreground: glass is no tissue of any class.
"""

import dataclasses
import json
import os
from typing import Any

import numpy as np

from ocelot_jax.io import atomic, csv_files
from ocelot_jax.slides import regions as regions_lib
from ocelot_jax.slides import windows
from ocelot_jax.slides.regions import Regions
from ocelot_jax.slides.result import FRAME, UNPREDICTED, SlideResult

# Rows of the tissue map that are in memory at once.
_STRIP = 64


@dataclasses.dataclass(frozen=True)
class Part:
    """What lies in a slide, or in a region of it.

    Attributes:
        cells: by class name, how many.
        purity: share of the tumor cells; None where it is not known.
        foreground_mm2: area of the foreground.
        tissue_mm2: by class name, area within the foreground; None without a tissue branch.
        unpredicted_mm2: area within the foreground of which no tissue class is known; None without
            a tissue branch.
    """

    cells: dict[str, int]
    purity: float | None
    foreground_mm2: float
    tissue_mm2: dict[str, float] | None
    unpredicted_mm2: float | None

    @property
    def total(self) -> int:
        """The number of cells of all classes."""
        return sum(self.cells.values())

    def share(self, name: str) -> float | None:
        """Tells the share of a class among the cells; None where there is no cell."""
        return self.cells[name] / self.total if self.total else None

    def density(self, name: str) -> float | None:
        """Tells the cells of a class per mm^2 of foreground; None where there is none."""
        return self.cells[name] / self.foreground_mm2 if self.foreground_mm2 else None


@dataclasses.dataclass(frozen=True)
class Summary:
    """A slide in numbers.

    Attributes:
        slide: the whole.
        parts: the regions, in their order.
        regions: where they lie.
    """

    slide: Part
    parts: tuple[Part, ...]
    regions: Regions


def summarise(result: SlideResult) -> Summary:
    """Counts the cells and measures the areas of a slide.

    A cell belongs to the region at its place, or else to the nearest; with a region there, the
    regions add up to the slide.
    """
    regions = regions_lib.find_regions(result.foreground, result.foreground_mpp, result.size_um)
    number = regions.of(result.micrometres)
    num_classes = len(result.cell_classes)
    cells = _histogram(number, result.cells.labels - 1, regions.count + 1, num_classes)
    tissue = None if result.tissue is None else _tissue_mm2(result, regions)[1:]

    def part(cells: np.ndarray, foreground_mm2: float, tissue: np.ndarray | None) -> Part:
        known = None
        if tissue is not None:
            known = dict(zip(result.tissue_classes, tissue.tolist(), strict=False))
        counts = dict(zip(result.cell_classes, cells.tolist(), strict=True))
        return Part(
            cells=counts,
            purity=_purity(result, counts),
            foreground_mm2=foreground_mm2,
            tissue_mm2=known,
            unpredicted_mm2=None if tissue is None else float(tissue[UNPREDICTED]),
        )

    tissue_of = [None] * regions.count if tissue is None else tissue
    areas = regions.areas_mm2
    parts = map(part, cells[1:], areas.tolist(), tissue_of)
    whole = part(cells.sum(0), float(areas.sum()), None if tissue is None else tissue.sum(0))
    return Summary(slide=whole, parts=tuple(parts), regions=regions)


def _purity(result: SlideResult, counts: dict[str, int]) -> float | None:
    if result.purity_classes is None:
        return None
    tumor, among = result.purity_classes
    total = sum(counts[name] for name in among)
    return counts[tumor] / total if total else None


def write_json(result: SlideResult, summary: Summary, path: str | os.PathLike[str]) -> None:
    """Writes the summary as JSON, whole or not at all; what is not known is null."""
    anchors = summary.regions.anchors().round(1).tolist()
    document = {
        'slide': result.name,
        'width_px': result.width,
        'height_px': result.height,
        'um_per_px': result.mpp,
        'tumor_class': result.purity_classes and result.purity_classes[0],
        'purity_among': result.purity_classes and result.purity_classes[1],
        'warnings': result.warnings,
        'fit': [fit.as_json() for fit in result.fits],
        'frame': {'points': FRAME, 'bounds_px': result.bounds},
        **_entry(summary.slide),
        'regions': [
            {'region': number, 'x_um': x, 'y_um': y, **_entry(part)}
            for number, ((x, y), part) in enumerate(
                zip(anchors, summary.parts, strict=True), start=1
            )
        ],
    }
    atomic.write_text(path, json.dumps(document, indent=2, allow_nan=False) + '\n')


def write_csv(
    result: SlideResult,
    summary: Summary,
    slide: str | os.PathLike[str],
    regions: str | os.PathLike[str],
) -> None:
    """Writes a row for the slide, and one for each region to a file of their own.

    What is not known is empty. The rows of many slides go into one table of either kind, which
    adds up: the regions are the slide's cells and areas once more. Each file appears whole or not
    at all.

    Args:
        result: what was found.
        summary: of the same slide.
        slide: the CSV of the slide's row; its folder must exist.
        regions: the CSV of the regions' rows, none on a slide without tissue.
    """
    whole = {'slide': result.name, **_flat(_entry(summary.slide))}
    rows = [
        {'slide': result.name, 'region': number, **_flat(_entry(part))}
        for number, part in enumerate(summary.parts, start=1)
    ]
    columns = list(whole)
    csv_files.write_rows(slide, columns, [whole])
    csv_files.write_rows(regions, ['slide', 'region', *columns[1:]], rows)


def _entry(part: Part) -> dict[str, Any]:
    tissue = part.tissue_mm2
    return {
        'tumor_purity': _short(part.purity),
        'cells': part.cells,
        'cell_share': {name: _short(part.share(name)) for name in part.cells},
        'cells_per_mm2': {name: _short(part.density(name)) for name in part.cells},
        'foreground_mm2': _short(part.foreground_mm2),
        'tissue_mm2': tissue and {name: _short(area) for name, area in tissue.items()},
        'not_predicted_mm2': _short(part.unpredicted_mm2),
    }


def _flat(entry: dict[str, Any]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for key, value in entry.items():
        if isinstance(value, dict):
            columns |= {f'{key}_{name}': number for name, number in value.items()}
        else:
            columns[key] = value
    return columns


def _short(value: float | None) -> float | None:
    return None if value is None else float(f'{value:.6g}')


def _histogram(
    first: np.ndarray,
    second: np.ndarray,
    num_first: int,
    num_second: int,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Counts the pairs of two kinds of numbers, or adds up weights: [num_first, num_second]."""
    joint = first.astype(np.int64) * num_second + second
    weights = None if weights is None else weights.ravel()
    counts = np.bincount(joint.ravel(), weights, num_first * num_second)
    return counts.reshape(num_first, num_second)


def _tissue_mm2(result: SlideResult, regions: Regions) -> np.ndarray:
    """Measures the tissue map by region and value, strip by strip: [R+1, 256]."""
    tissue = result.tissue_map
    heights, widths = windows.sides_mm(tissue.shape, result.tissue_mpp, result.size_um)
    height, width = tissue.shape

    def places(size: int, limit: int) -> np.ndarray:
        scale = result.tissue_mpp / regions.mpp
        return np.minimum(((np.arange(size) + 0.5) * scale).astype(np.int64), limit - 1)

    rows, columns = map(places, (height, width), regions.inside.shape)
    areas = np.zeros((regions.count + 1, 256))
    for top in range(0, height, _STRIP):
        strip = slice(top, top + _STRIP)
        inside = regions.inside[rows[strip, None], columns]
        weights = np.outer(heights[strip], widths)
        areas += _histogram(inside, tissue[strip], regions.count + 1, 256, weights)
    return areas
