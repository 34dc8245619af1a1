"""From a slide to its cells and tissue: threads read windows while the device computes."""

import dataclasses
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from ocelot_jax.data.appearance import Appearance
from ocelot_jax.data.patches import Patches
from ocelot_jax.inference import loop
from ocelot_jax.inference.detector import Detector
from ocelot_jax.inference.engine import Engine
from ocelot_jax.io import progress
from ocelot_jax.metrics.cells import Cells
from ocelot_jax.slides import batches, fit, foreground, seams, windows
from ocelot_jax.slides.result import Sample, SlideResult
from ocelot_jax.slides.slide import Slide
from ocelot_jax.slides.store import Part, Store

_SAVE_SECONDS = 30.0
_SAMPLES = 6
_MEASURED = 3  # batches


@dataclasses.dataclass(frozen=True)
class Method:
    """How cells are found in windows.

    Attributes:
        engine: computes probabilities.
        detect: finds cells in them.
        patches: sizes of the windows.
        cell_classes: names of the labels 1..K.
        tissue_classes: names of the tissue classes 0..T-1.
        reads_tissue: whether the network takes tissue windows.
        maps_tissue: whether it predicts their tissue classes.
        batch_size: the most tissue windows computed at a time, a multiple of the number of
            devices.
        takes_any_size: whether `engine` takes batches of any size; see `batches.read`.
        tumor_class: see `SlideResult`.
        appearances: what each run was trained on, by its name.
    """

    engine: Engine
    detect: Detector
    patches: Patches
    cell_classes: tuple[str, ...]
    tissue_classes: tuple[str, ...]
    reads_tissue: bool = True
    maps_tissue: bool = True
    batch_size: int = 1
    takes_any_size: bool = False
    tumor_class: str | None = None
    appearances: Mapping[str, Appearance] = dataclasses.field(default_factory=dict)

    @property
    def margin(self) -> int:
        """Least distance of a seam from a window's border, pixels of the cell grid.

        Near the border the network sees too little around a cell.
        """
        p = self.patches
        return max(
            p.cell_size // 16, self.detect.reach(p.cell_mpp), math.ceil(p.tissue_mpp / p.cell_mpp)
        )

    def computed(self, count: int) -> int:
        """How many tissue windows are computed for `count`, copies included."""
        return batches.computed(count, self.batch_size, self.takes_any_size)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What there is to do on a slide.

    Attributes:
        thumbnail: [h,w,3] uint8, the slide.
        foreground: [h,w] bool, where its tissue is.
        foreground_mpp: um/px of `foreground`.
        layout: all windows.
        groups: those with tissue, in the order of work.
        doubts: what was warned of.
        fits: see `SlideResult`.
    """

    thumbnail: np.ndarray
    foreground: np.ndarray
    foreground_mpp: float
    layout: windows.Layout
    groups: list[windows.Group]
    doubts: tuple[str, ...] = ()
    fits: tuple[fit.Fit, ...] = ()

    @property
    def num_windows(self) -> int:
        """Number of the cell windows with tissue."""
        return sum(len(group.windows) for group in self.groups)


def make_plan(
    slide: Slide,
    method: Method,
    everywhere: bool = False,
    read_overview: foreground.ReadOverview = foreground.overview,
) -> Plan:
    """Finds the tissue of a slide, and the windows that hold some; warns of its um/px and looks.

    Args:
        slide: the slide.
        method: how cells are found.
        everywhere: whether to treat all of the slide as tissue.
        read_overview: gives that of the slide, which may be read already.
    """
    thumbnail, mpp = read_overview(slide)
    mask, mask_mpp = foreground.find(thumbnail, mpp)
    if everywhere:
        mask[:] = True
    layout = windows.lay_out(slide.width, slide.height, slide.mpp, method.patches, method.margin)
    groups = layout.groups(mask, mask_mpp)
    fits = fit.compare_slide(method.appearances, slide, layout, groups, mask, mask_mpp)
    told = (
        slide.doubt,
        None if groups else 'no tissue was found; --everywhere looks at all of the slide',
        method.patches.doubt_of_slide(slide.mpp),
        *(each.doubt for each in fits),
    )
    doubts = tuple(filter(None, told))
    for doubt in doubts:
        logging.warning('%s: %s', slide.name, doubt)
    return Plan(thumbnail, mask, mask_mpp, layout, groups, doubts, fits)


def predict_slide(
    slide: Slide, method: Method, plan: Plan, folder: Path, identity: dict[str, Any]
) -> SlideResult:
    """Finds the cells and the tissue of a slide.

    Args:
        slide: the slide.
        method: how cells are found.
        plan: from `make_plan`.
        folder: where intermediate results are kept; the same call goes on with what is there.
            The result's tissue map is a file there.
        identity: what the results depend on beside method and plan, that of the slide included.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
        InputError: the slide is damaged.
    """
    layout = plan.layout
    identity = identity | {
        'patches': dataclasses.asdict(method.patches),
        'windows': [[g.column, g.row, *g.windows] for g in plan.groups],
    }
    store = Store(folder, identity)
    groups = plan.groups[store.done :]
    done = sum(len(group.windows) for group in plan.groups[: store.done])
    with progress.show(slide.name, plan.num_windows, 'windows', done) as shown:
        unsaved, count, saved = [], 0, time.monotonic()
        for found in find(slide, method, layout, groups):
            unsaved.append(_part(found, layout))
            count += len(found.groups)
            shown.advance(sum(len(group.windows) for group in found.groups))
            if time.monotonic() - saved > _SAVE_SECONDS:
                store.add(Part.concatenate(unsaved), count)
                unsaved, count, saved = [], 0, time.monotonic()
        if unsaved:
            store.add(Part.concatenate(unsaved), count)
    return _result(slide, method, plan, store)


@dataclasses.dataclass(frozen=True)
class Found:
    """What was found in a batch of groups.

    Attributes:
        groups: the batch's groups.
        cells: their cells, up to `min_distance` out of each window's core; points [n,2] int32 in
            pixels of the cell grid.
        windows: [n] int32, the number of the window that saw each cell.
        tissue: [len(groups),h,w] uint8, classes of their tissue windows; None where the network
            predicts none.
        crowded: cell windows in which cells beyond `config.detection.max_cells` were left out.
    """

    groups: list[windows.Group]
    cells: Cells
    windows: np.ndarray
    tissue: np.ndarray | None
    crowded: int


def find(
    slide: Slide, method: Method, layout: windows.Layout, groups: Sequence[windows.Group]
) -> Iterator[Found]:
    """Finds cells and tissue in groups of windows, batch by batch."""
    with batches.read(
        slide,
        layout,
        groups,
        batch_size=method.batch_size,
        reads_tissue=method.reads_tissue,
        takes_any_size=method.takes_any_size,
    ) as ahead:
        for batch, patches, tissue, crowded in loop.find(
            method.engine, method.detect, ahead, maps_tissue=method.maps_tissue
        ):
            done = batch['items']
            classes = None if tissue is None else tissue[: len(done)]
            cells, numbers = _collect(done, patches, method, layout)
            yield Found(done, cells, numbers, classes, int(crowded.sum()))


def _collect(
    groups: list[windows.Group],
    patches: Sequence[Cells],
    method: Method,
    layout: windows.Layout,
) -> tuple[Cells, np.ndarray]:
    """Moves the cells of a batch's windows to the cell grid; tells [n] which window saw each.

    Each group but the last has `layout.max_group` rows.
    """
    parts, numbers = [], [np.zeros(0, np.int32)]
    min_distance = method.detect.min_distance(method.patches.cell_mpp)
    for place, group in enumerate(groups):
        for row, window in enumerate(group.windows, place * layout.max_group):
            points = patches[row].points.astype(np.int32)
            points += np.array(layout.origin(window), np.int32)
            near = layout.is_near_core(points, window, min_distance)
            parts.append(dataclasses.replace(patches[row], points=points)[near])
            numbers.append(np.full(len(parts[-1]), window, np.int32))
    return Cells.concatenate(parts), np.concatenate(numbers)


def _part(found: Found, layout: windows.Layout) -> Part:
    """What is kept of a batch: of each tissue window, the pixels that it owns."""
    if found.tissue is None:
        return Part(found.cells, found.windows, None, found.crowded)
    owned = []
    for group, classes in zip(found.groups, found.tissue, strict=True):
        rows, columns = layout.tissue_core(group)
        x, y = layout.tissue_origin(group)
        core = classes[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
        owned.append(core.ravel())
    return Part(found.cells, found.windows, np.concatenate(owned), found.crowded)


def _load(
    store: Store, method: Method, plan: Plan
) -> tuple[Cells, np.ndarray, np.ndarray | None, int]:
    """All n cells, [n] the window that saw each, the tissue map or None, and `Part.crowded`."""
    tissue = store.create_map(plan.layout.tissue_shape) if method.maps_tissue else None
    cells, seen_by, groups, crowded = [], [np.zeros(0, np.int32)], iter(plan.groups), 0
    for part in store.load():
        crowded += part.crowded
        cells.append(part.cells)
        seen_by.append(part.windows)
        start, owned = 0, part.tissue
        while tissue is not None and owned is not None and start < len(owned):
            core = plan.layout.tissue_core(next(groups))
            height, width = (side.stop - side.start for side in core)
            tissue[core] = owned[start : start + height * width].reshape(height, width)
            start += height * width
    return Cells.concatenate(cells), np.concatenate(seen_by), tissue, crowded


def _result(slide: Slide, method: Method, plan: Plan, store: Store) -> SlideResult:
    cells, seen_by, tissue, crowded = _load(store, method, plan)
    doubt = method.detect.doubt_of_crowded(crowded)
    min_distance = method.detect.min_distance(method.patches.cell_mpp)
    stays = seams.resolve(cells, seen_by, plan.layout, min_distance)
    cells, seen_by = cells[stays], seen_by[stays]
    scale = method.patches.cell_mpp / slide.mpp
    points = (cells.points.astype(np.float64) + 0.5) * scale - 0.5
    return SlideResult(
        name=slide.name,
        width=slide.width,
        height=slide.height,
        mpp=slide.mpp,
        cell_classes=method.cell_classes,
        tissue_classes=method.tissue_classes,
        cells=dataclasses.replace(cells, points=points),
        tissue=tissue,
        tissue_mpp=method.patches.tissue_mpp,
        foreground=plan.foreground,
        foreground_mpp=plan.foreground_mpp,
        thumbnail=plan.thumbnail,
        samples=_samples(slide, method, plan, cells.labels, seen_by),
        bounds=slide.bounds,
        tumor_class=method.tumor_class,
        warnings=plan.doubts + ((doubt,) if doubt else ()),
        fits=plan.fits,
    )


def _samples(
    slide: Slide, method: Method, plan: Plan, labels: np.ndarray, seen_by: np.ndarray
) -> tuple[Sample, ...]:
    """The windows with most cells of each class in turn, those without cells last.

    Args:
        slide: the slide.
        method: how cells are found.
        plan: from `make_plan`.
        labels: [n], of the cells found.
        seen_by: [n], the number of the window that saw each.
    """
    numbers = np.array([w for group in plan.groups for w in group.windows], int)
    counts = np.zeros(
        (len(method.cell_classes), len(plan.layout.x.origins) * len(plan.layout.y.origins)), int
    )
    np.add.at(counts, (labels - 1, seen_by), 1)
    ranks = [numbers[np.argsort(-row[numbers], kind='stable')] for row in counts]
    chosen = list(dict.fromkeys(int(w) for turn in zip(*ranks, strict=True) for w in turn))
    p = method.patches
    samples = []
    for window in chosen[:_SAMPLES]:
        x, y = plan.layout.origin(window)
        samples.append(
            Sample(
                x=round(x * p.cell_mpp / slide.mpp),
                y=round(y * p.cell_mpp / slide.mpp),
                mpp=p.cell_mpp,
                image=slide.read(x, y, p.cell_size, p.cell_size, p.cell_mpp),
            )
        )
    return tuple(samples)


def measure(slide: Slide, method: Method, plan: Plan) -> float:
    """Seconds of each tissue window that is computed, with reading, without compilation.

    They are taken on the first batches of a plan with groups.
    """
    groups = plan.groups[: _MEASURED * method.batch_size]
    for _ in range(2):  # the first time compiles
        clock = [time.monotonic()]
        clock += [time.monotonic() for _ in find(slide, method, plan.layout, groups)]
    return (clock[-1] - clock[0]) / method.computed(len(groups))
