"""Batches of a slide's windows, read by threads while the device computes."""

import concurrent.futures
import contextlib
import functools
import math
from collections.abc import Iterator, Sequence

import jax
import numpy as np

from ocelot_jax.inference import prefetch
from ocelot_jax.inference.engine import Batch
from ocelot_jax.io import cores
from ocelot_jax.slides import windows
from ocelot_jax.slides.mosaic import Mosaic
from ocelot_jax.slides.slide import Slide


@contextlib.contextmanager
def read(
    slide: Slide,
    layout: windows.Layout,
    groups: Sequence[windows.Group],
    *,
    batch_size: int,
    reads_tissue: bool,
    takes_any_size: bool,
) -> Iterator[Iterator[Batch]]:
    """Reads groups of windows, a few ahead; no thread reads after the block's end.

    Args:
        slide: where they lie.
        layout: where they lie on it.
        groups: what is read, in this order.
        batch_size: tissue windows of a batch, at most; see `at_once`.
        reads_tissue: whether the network takes tissue windows; else they are black.
        takes_any_size: whether the engine takes batches of any size. If so, the last batch is
            as short as it is, and a single tissue window comes with its cell windows alone. Else,
            or where several must have as many, copies of a group's last window, not `valid`, fill
            it up to `layout.max_group` rows.

    Yields:
        The batches, as engines take them, with their groups as `items`; see `prefetch.read_ahead`.
    """
    size = at_once(len(groups), batch_size, takes_any_size)
    # for parts of a batch, so that all cores read what the first one waits for
    with concurrent.futures.ThreadPoolExecutor(cores.count()) as pool:
        fills = size > 1 or not takes_any_size
        cells, tissue = (
            Mosaic(slide, mpp, pool)
            for mpp in (layout.patches.cell_mpp, layout.patches.tissue_mpp)
        )
        read_one = functools.partial(
            _read_group, layout, cells, tissue if reads_tissue else None, fills
        )
        ahead = prefetch.read_ahead(groups, read_one, size, fills=not takes_any_size)
        with contextlib.closing(ahead) as batches:
            yield batches


def at_once(count: int, batch_size: int, takes_any_size: bool) -> int:
    """How many tissue windows are computed at a time where there are `count`: hardly more.

    A batch for an engine that does not take any size has a power of two for each device. To
    compile a program for every number of windows would take longer than to compute some copies.

    Args:
        count: tissue windows of the slide.
        batch_size: the most, a multiple of the number of devices.
        takes_any_size: see `read`.
    """
    if takes_any_size:
        return min(batch_size, count)
    devices = jax.local_device_count()
    return min(batch_size, devices * 2 ** (math.ceil(count / devices) - 1).bit_length())


def computed(count: int, batch_size: int, takes_any_size: bool) -> int:
    """How many tissue windows are computed for `count`, copies included; see `at_once`."""
    if takes_any_size:
        return count
    size = at_once(count, batch_size, takes_any_size)
    return math.ceil(count / size) * size


def _read_group(
    layout: windows.Layout,
    cells: Mosaic,
    tissue: Mosaic | None,
    fills: bool,
    group: windows.Group,
) -> dict[str, np.ndarray]:
    """Reads a tissue window and the cell windows in it; see `read`."""
    p = layout.patches
    # all is asked for before any is waited for, as other groups are read at the same time
    joins = [cells.start(*layout.origin(w), p.cell_size, p.cell_size) for w in group.windows]
    if tissue is None:
        tissue_image = np.zeros((p.tissue_size, p.tissue_size, 3), np.uint8)
    else:
        tissue_image = tissue.start(*layout.tissue_origin(group), p.tissue_size, p.tissue_size)()
    images = [join() for join in joins]
    fill = layout.max_group - len(group.windows) if fills else 0
    numbers = [*group.windows, *group.windows[-1:] * fill]
    return {
        'valid': np.arange(len(numbers)) < len(group.windows),
        'cell_image': np.stack([*images, *images[-1:] * fill]),
        'tissue_image': tissue_image[None],
        'center': np.stack([layout.center(group, window) for window in numbers]),
        'cell_mpp': np.full(len(numbers), p.cell_mpp, np.float32),
        'tissue_mpp': np.full(len(numbers), p.tissue_mpp, np.float32),
    }
