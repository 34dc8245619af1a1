"""What the annotations of one slide give: where pairs are cut, their cells, what is left out."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from ocelot_jax.annotation import planning, reading
from ocelot_jax.annotation.annotations import Annotations, Area
from ocelot_jax.annotation.choices import Choices
from ocelot_jax.annotation.classes import LEFT_OUT
from ocelot_jax.data.release import UNKNOWN
from ocelot_jax.io import digests
from ocelot_jax.io.errors import InputError
from ocelot_jax.slides.slide import Slide


@dataclasses.dataclass(frozen=True)
class Survey:
    """A slide and what is cut from it.

    Attributes:
        name: of the slide.
        path: its file.
        identity: what tells it from others, as JSON values, its size and um/px among them.
        files: its annotations.
        digests: of these files.
        annotations: what they say.
        labels: [n] of the annotated cells, 0 where a cell is of no class of ours.
        tissue: areas of tissue.
        values: what to draw of them, by class: classes from 1, 255 unknown.
        places: where pairs are cut.
        rows: which of the cells each pair has.
        rois: how many regions were drawn.
        unmapped: how many cells within regions are of a class that nobody mapped, by its name.
        left_out: how many objects are in no pair, by the reason.
        doubts: sentences on what may be wrong with the slide.
    """

    name: str
    path: Path
    identity: Mapping[str, Any]
    files: tuple[Path, ...]
    digests: tuple[str, ...]
    annotations: Annotations
    labels: np.ndarray
    tissue: tuple[Area, ...]
    values: Mapping[str, int]
    places: tuple[planning.Place, ...]
    rows: tuple[np.ndarray, ...]
    rois: int
    unmapped: Mapping[str, int]
    left_out: Mapping[str, int]
    doubts: tuple[str, ...]

    @property
    def mpp(self) -> float:
        """Micrometres per pixel of the slide at full resolution."""
        return self.identity['mpp']


def survey(
    name: str, path: Path, files: Sequence[Path], mpp: float | None, choices: Choices
) -> Survey:
    """Reads a slide's annotations and plans its pairs.

    Args:
        name: of the slide.
        path: its file.
        files: its annotations.
        mpp: um/px that was given for it.
        choices: how pairs are made.

    Raises:
        InputError: something is wrong with the slide or its annotations.
    """
    with Slide(path, mpp, name, choices.override_mpp) as slide:
        identity = slide.identity()
        size_um = slide.width * slide.mpp, slide.height * slide.mpp
        doubts = _doubts(slide, choices)
        annotations = _merge([reading.read(file, slide) for file in files], files)
    patches, labels = choices.patches, _labels(annotations, choices)
    rois = [area.geometry for area in annotations.areas if area.name == choices.roi_class]
    places, too_small = planning.plan(rois, size_um, patches)
    kept = np.flatnonzero(labels > LEFT_OUT)
    rows = [kept[found] for found in planning.assign(annotations.points[kept], places, patches)]
    within = _within(annotations.points, rois)
    within[np.concatenate([*rows, np.zeros(0, np.int64)])] = True
    names = np.array(annotations.names, object)
    unmapped = [one for one in names[within] if one not in choices.cell_classes.labels]
    left_out = collections.Counter(annotations.left_out)
    left_out['cells outside of the ROIs'] += int((~within).sum())
    for one in names[within & (labels == LEFT_OUT)]:
        left_out[f'cells of {_called(one)}, which --cell_classes leaves out'] += 1
    left_out['cells in ROIs, where no whole patch fits'] += int(
        (within & (labels > LEFT_OUT)).sum()
    ) - sum(map(len, rows))
    left_out['ROIs too small for a cell patch'] += too_small
    tissue, values = _tissue(annotations.areas, choices, left_out)
    return Survey(
        name=name,
        path=path,
        identity=identity,
        files=tuple(files),
        digests=tuple(map(digests.of_file, files)),
        annotations=annotations,
        labels=labels,
        tissue=tissue,
        values=values,
        places=tuple(places),
        rows=tuple(rows),
        rois=len(rois),
        unmapped=collections.Counter(unmapped),
        left_out=+left_out,
        doubts=doubts,
    )


def _doubts(slide: Slide, choices: Choices) -> tuple[str, ...]:
    doubts = []
    if slide.doubt:
        doubts.append(f'{slide.path.name}: {slide.doubt}')
    if choices.patches.doubt_of_slide(slide.mpp):
        doubts.append(
            f'{slide.path.name}: has {slide.mpp:.3g} um/px, coarser than the '
            f'{choices.patches.cell_mpp:.3g} of the cell patches: it is magnified and shows less '
            'than they seem to; --patches gives them other um/px'
        )
    return tuple(doubts)


def _merge(parts: Sequence[Annotations], files: Sequence[Path]) -> Annotations:
    """All of a slide's files as one; cells in two of them would count twice."""
    if all(len(part.points) for part in parts) and len(parts) > 1:
        raise InputError(
            f'{files[0]}: and {files[1].name} both hold cells of one slide; want them in one of '
            'the files, the other with areas alone'
        )
    left_out = sum((collections.Counter(part.left_out) for part in parts), collections.Counter())
    return Annotations(
        points=np.concatenate([part.points for part in parts]),
        names=tuple(name for part in parts for name in part.names),
        ids=tuple(one for part in parts for one in part.ids),
        areas=tuple(area for part in parts for area in part.areas),
        left_out=left_out,
    )


def _labels(annotations: Annotations, choices: Choices) -> np.ndarray:
    labels = choices.cell_classes.labels
    return np.array([labels.get(name, LEFT_OUT) for name in annotations.names], np.int64)


def _within(points: np.ndarray, rois: planning.Polygons) -> np.ndarray:
    """[n] bool: whether cells lie in a region."""
    whole = shapely.union_all(rois)
    shapely.prepare(whole)
    return np.array(shapely.intersects_xy(whole, *points.T), bool)


def _tissue(
    areas: Sequence[Area], choices: Choices, left_out: collections.Counter[str]
) -> tuple[tuple[Area, ...], dict[str, int]]:
    """Areas of tissue, and what to draw of each class.

    A class that is not mapped is drawn as unknown, so that it hides what lies below it: an area
    of necrosis within tumor is no tumor.
    """
    labels = choices.tissue_classes.labels
    tissue = [area for area in areas if area.name != choices.roi_class]
    for area in tissue:
        if not area.name:
            left_out['areas without a class'] += 1
        elif not labels.get(area.name):
            left_out[f'areas of {_called(area.name)}, as unknown tissue'] += 1
    classed = tuple(area for area in tissue if area.name)
    return classed, {area.name: labels.get(area.name) or UNKNOWN for area in classed}


def _called(name: str) -> str:
    return f'class {name!r}' if name else 'no class'
