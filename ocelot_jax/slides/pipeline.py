"""From a slide to its cells and tissue: threads read ahead while the device computes."""

import collections
import dataclasses
import functools
import math
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tqdm
from absl import logging

from ocelot_jax.data.patches import Patches
from ocelot_jax.inference import loop, prefetch
from ocelot_jax.slides import foreground, seams, windows
from ocelot_jax.slides.reader import Slide
from ocelot_jax.slides.result import Sample, SlideResult
from ocelot_jax.slides.store import Store

_SAVE_SECONDS = 30.0
_SAMPLES = 6


@dataclasses.dataclass(frozen=True)
class Method:
    """How cells are found in windows.

    Attributes:
        engine: computes probabilities.
        detect: finds cells in them.
        patches: sizes of the windows.
        cell_classes: names of the labels 1..K.
        tissue_classes: names of the tissue classes 0..T-1.
        reads_tissue: whether the engine looks at tissue windows.
        maps_tissue: whether what it says of them means something.
        batch_size: tissue windows computed at a time, a multiple of the number of devices.
    """

    engine: loop.Engine
    detect: loop.Detector
    patches: Patches
    cell_classes: tuple[str, ...]
    tissue_classes: tuple[str, ...]
    reads_tissue: bool = True
    maps_tissue: bool = True
    batch_size: int = 1

    @property
    def margin(self) -> int:
        """Least distance of a seam from a window's border: there the network sees too little."""
        p = self.patches
        return max(p.cell_size // 16, self.detect.reach, math.ceil(p.tissue_mpp / p.cell_mpp))


@dataclasses.dataclass(frozen=True)
class Plan:
    """What there is to do on a slide.

    Attributes:
        thumbnail: [h,w,3] uint8, the slide.
        foreground: [h,w] bool, where its tissue is.
        foreground_mpp: um/px of `foreground`.
        layout: all windows.
        groups: those with tissue, in the order of work.
    """

    thumbnail: np.ndarray
    foreground: np.ndarray
    foreground_mpp: float
    layout: windows.Layout
    groups: list[windows.Group]

    @property
    def num_windows(self) -> int:
        return sum(len(group.windows) for group in self.groups)


def make_plan(slide: Slide, method: Method, everywhere: bool = False) -> Plan:
    """Finds the tissue of a slide, and the windows that hold some.

    Args:
        slide: the slide.
        method: how cells are found.
        everywhere: whether to take all of the slide for tissue.
    """
    thumbnail, mpp = foreground.overview(slide)
    mask, mask_mpp = foreground.find(thumbnail, mpp)
    if everywhere:
        mask[:] = True
    layout = windows.lay_out(slide.width, slide.height, slide.mpp, method.patches, method.margin)
    return Plan(thumbnail, mask, mask_mpp, layout, layout.groups(mask, mask_mpp))


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
        identity: what the results depend on beside slide and plan.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
        ValueError: the slide cannot be read.
    """
    layout = plan.layout
    identity = identity | {
        'slide': [
            slide.path.name,
            slide.width,
            slide.height,
            slide.mpp,
            slide.path.stat().st_size,
        ],
        'patches': dataclasses.asdict(method.patches),
        'windows': [[g.column, g.row, *g.windows] for g in plan.groups],
    }
    store = Store(folder, identity, layout.tissue_shape if method.maps_tissue else None)
    groups = plan.groups[store.done :]
    done = sum(len(group.windows) for group in plan.groups[: store.done])
    with tqdm.tqdm(
        desc=slide.name,
        total=plan.num_windows,
        initial=done,
        unit='window',
        # a log file needs no line twice a second
        mininterval=0.5 if sys.stderr.isatty() else 30,
        dynamic_ncols=True,
    ) as bar:
        kept, pending, saved = [], 0, time.monotonic()
        for batch, cells, tissue in find(slide, method, layout, groups):
            if store.tissue is not None:
                for group, classes in zip(batch, tissue, strict=True):
                    _write_tissue(store.tissue, layout, group, classes)
            kept.append(cells)
            pending += len(batch)
            bar.update(sum(len(group.windows) for group in batch))
            if time.monotonic() - saved > _SAVE_SECONDS:
                store.add(seams.Cells.concatenate(kept), pending)
                kept, pending, saved = [], 0, time.monotonic()
        if pending:
            store.add(seams.Cells.concatenate(kept), pending)
    return _result(slide, method, plan, store)


def find(
    slide: Slide, method: Method, layout: windows.Layout, groups: Sequence[windows.Group]
) -> Iterator[tuple[list[windows.Group], seams.Cells, np.ndarray | None]]:
    """Finds cells and tissue in groups of windows, batch by batch.

    Yields:
        The batch's groups; their cells, up to `min_distance` out of each window's core; and the
        classes [len(groups),h,w] uint8 of their tissue windows, None where they mean nothing.
    """
    device_results: collections.deque = collections.deque()
    read = functools.partial(read_group, slide, method, layout)
    for batch, arrays in prefetch.read_ahead(groups, read, method.batch_size):
        probs, tissue = method.engine(arrays)
        if method.maps_tissue:
            tissue = jnp.argmax(tissue, -1).astype(jnp.uint8)
        device_results.append((batch, method.detect(probs), tissue))
        # reading the previous batch's results keeps the device busy with this one
        if len(device_results) > 1:
            yield _to_host(device_results.popleft(), method, layout)
    while device_results:
        yield _to_host(device_results.popleft(), method, layout)


def _to_host(
    result: tuple, method: Method, layout: windows.Layout
) -> tuple[list[windows.Group], seams.Cells, np.ndarray | None]:
    batch, found, tissue = result
    found = jax.tree.map(np.asarray, found)
    parts = []
    for place, group in enumerate(batch):
        for row, window in enumerate(group.windows, place * layout.max_group):
            count = found.count[row]
            if found.num_peaks[row] > count:
                logging.log_first_n(
                    logging.WARNING,
                    'a window has %d peaks, more than config.detection.max_cells = %d; the lowest '
                    'were left out, there and in other such windows',
                    1,
                    found.num_peaks[row],
                    count,
                )
            points = found.points[row, :count].astype(np.int32)
            cells = seams.Cells(
                points + np.array(layout.origin(window), np.int32),
                found.labels[row, :count],
                found.scores[row, :count],
                np.full(count, window, np.int32),
            )
            parts.append(
                cells[layout.is_near_core(cells.points, window, method.detect.min_distance)]
            )
    tissue = np.asarray(tissue)[: len(batch)] if method.maps_tissue else None
    return batch, seams.Cells.concatenate(parts), tissue


def read_group(
    slide: Slide, method: Method, layout: windows.Layout, group: windows.Group
) -> dict[str, np.ndarray]:
    """Reads a tissue window and the cell windows in it, as an engine takes them.

    The rows are filled up to `layout.max_group` by the last window.
    """
    p = method.patches
    numbers = list(group.windows) + [group.windows[-1]] * (layout.max_group - len(group.windows))
    images = {
        window: slide.read(*layout.origin(window), p.cell_size, p.cell_size, p.cell_mpp)
        for window in group.windows
    }
    if method.reads_tissue:
        place = layout.tissue_origin(group)
        tissue = slide.read(*place, p.tissue_size, p.tissue_size, p.tissue_mpp)
    else:
        tissue = np.zeros((p.tissue_size, p.tissue_size, 3), np.uint8)
    return {
        'cell_image': np.stack([images[window] for window in numbers]),
        'tissue_image': tissue[None],
        'center': np.stack([layout.center(group, window) for window in numbers]),
        'cell_mpp': np.full(len(numbers), p.cell_mpp, np.float32),
        'tissue_mpp': np.full(len(numbers), p.tissue_mpp, np.float32),
    }


def _write_tissue(
    target: np.ndarray, layout: windows.Layout, group: windows.Group, classes: np.ndarray
) -> None:
    """Writes what a tissue window owns of the tissue map."""
    rows, columns = layout.tissue_core(group)
    x, y = layout.tissue_origin(group)
    target[rows, columns] = classes[
        rows.start - y : rows.stop - y, columns.start - x : columns.stop - x
    ]


def _result(slide: Slide, method: Method, plan: Plan, store: Store) -> SlideResult:
    cells = seams.resolve(store.cells(), plan.layout, method.detect.min_distance)
    scale = method.patches.cell_mpp / slide.mpp
    return SlideResult(
        name=slide.name,
        width=slide.width,
        height=slide.height,
        mpp=slide.mpp,
        cell_classes=method.cell_classes,
        tissue_classes=method.tissue_classes,
        points=(cells.points + 0.5) * scale - 0.5,
        labels=cells.labels,
        scores=cells.scores,
        tissue=store.tissue,
        tissue_mpp=method.patches.tissue_mpp,
        foreground=plan.foreground,
        foreground_mpp=plan.foreground_mpp,
        thumbnail=plan.thumbnail,
        samples=_samples(slide, method, plan, cells),
    )


def _samples(slide: Slide, method: Method, plan: Plan, cells: seams.Cells) -> tuple[Sample, ...]:
    """The windows with most cells of each class in turn, those of no cells at last."""
    numbers = np.array([w for group in plan.groups for w in group.windows], int)
    counts = np.zeros(
        (len(method.cell_classes), len(plan.layout.x.origins) * len(plan.layout.y.origins)), int
    )
    np.add.at(counts, (cells.labels - 1, cells.windows), 1)
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


def measure(slide: Slide, method: Method, plan: Plan, batches: int = 3) -> float:
    """Seconds that a batch of groups takes, reading included, compilation not."""
    groups = plan.groups[: method.batch_size * (batches + 1)]
    clock = [time.monotonic() for _ in find(slide, method, plan.layout, groups)]
    return float('nan') if len(clock) < 2 else (clock[-1] - clock[0]) / (len(clock) - 1)
