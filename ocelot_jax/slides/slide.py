"""A slide or large image, read at any um/px."""

import concurrent.futures
import itertools
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np

from ocelot_jax.io import digests, names
from ocelot_jax.io.errors import InputError
from ocelot_jax.slides import companions, readers, windows
from ocelot_jax.slides.readers import stated_mpp

_OVERVIEW_BLOCK = 4096
# each holds a block at full resolution
_OVERVIEW_THREADS = 2
_MOST_STRETCHED = 2.0
# um/px along one axis over those along the other that are told; scanners state 1.003
_SQUARE = 1.02

OpenReader = Callable[[Path], readers.Reader]


class Slide:
    """A slide or large image; may be read by many threads at once.

    Args:
        path: the file.
        mpp: micrometres per pixel at full resolution, where the file states none.
        name: what it is called; where None, the file's stem.
        override_mpp: whether `mpp` is right, whatever the file states.
        open_reader: opens the file, here or in another process.

    Attributes:
        path: as given.
        name: what it is called.
        width: pixels at full resolution.
        height: the same.
        mpp: micrometres per pixel at full resolution.
        axis_mpps: those along x and along y that the file states and `mpp` is the mean of; None
            where `mpp` is as given.
        overridden: whether `mpp` is as given whatever the file states.
        bounds: (x, y, width, height) of the part that was scanned, in pixels at full resolution,
            where the file states one, as MRXS and SCN do.
        doubt: a sentence where the file states another um/px than was given, or two that differ,
            else None.

    Raises:
        MissingFileError: there is no such file.
        InputError: it is no image in 8-bit color, or its um/px is neither given nor stated,
            or its name is not UTF-8.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        mpp: float | None = None,
        name: str | None = None,
        override_mpp: bool = False,
        open_reader: OpenReader = readers.open_reader,
    ):
        self.path = Path(path)
        self.name = name or self.path.stem
        names.check(self.path)
        self._reader = open_reader(self.path)
        self.width, self.height = self._reader.levels[0]
        try:
            _check_levels(self.path, self._reader.levels)
            self._whole = _whole_levels(self._reader.levels)
            self.overridden = override_mpp and mpp is not None
            self.mpp, self.axis_mpps, self.doubt = _choose_mpp(
                self.path, self._reader, mpp, self.overridden
            )
            self.bounds = self._reader.bounds()
        except Exception:
            self.close()
            raise

    @property
    def size_um(self) -> tuple[float, float]:
        """Width and height in micrometres."""
        return self.width * self.mpp, self.height * self.mpp

    def read(self, x: int, y: int, width: int, height: int, mpp: float) -> np.ndarray:
        """Reads a region of the slide as if the whole had been resampled to `mpp`.

        Resampled from the next finer level (bicubic, with anti-aliasing).

        Args:
            x: first column, in pixels of `mpp` from the slide's left border.
            y: first row, from the top.
            width: pixels of `mpp`.
            height: the same.
            mpp: micrometres per pixel.

        Returns:
            [height,width,3] uint8, white beyond the slide.

        Raises:
            InputError: the file is damaged there.
        """
        result = np.full((height, width, 3), 255, np.uint8)
        grid = [windows.grid_length(size, self.mpp, mpp) for size in (self.width, self.height)]
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + width, grid[0]), min(y + height, grid[1])
        if left < right and top < bottom:
            result[top - y : bottom - y, left - x : right - x] = self._resample(
                (left, top, right, bottom), mpp
            )
        return result

    def overview(self, mpp: float) -> np.ndarray:
        """Reads the whole slide at a low resolution, [h,w,3] uint8, in little memory."""
        width, height = (windows.grid_length(n, self.mpp, mpp) for n in (self.width, self.height))
        # whatever the levels are, a block reads at most this many pixels of level 0 a side
        block = max(1, int(_OVERVIEW_BLOCK * self.mpp / mpp))
        result = np.empty((height, width, 3), np.uint8)

        def read(corner: tuple[int, int]) -> None:
            y, x = corner
            w, h = min(block, width - x), min(block, height - y)
            result[y : y + h, x : x + w] = self.read(x, y, w, h, mpp)

        corners = itertools.product(range(0, height, block), range(0, width, block))
        with concurrent.futures.ThreadPoolExecutor(_OVERVIEW_THREADS) as pool:
            list(pool.map(read, corners))  # which raises what reading does
        return result

    def identity(self) -> dict[str, Any]:
        """What tells this slide from others, as JSON values: its content, not its name."""
        return {
            'digest': digests.of_files(companions.files_of(self.path)),
            'width': self.width,
            'height': self.height,
            'mpp': self.mpp,
        }

    def close(self) -> None:
        """Closes the file."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _resample(self, box: tuple[int, int, int, int], mpp: float) -> np.ndarray:
        """Reads the box (left, top, right, bottom) of the grid of `mpp`, within the slide."""
        scale = mpp / self.mpp
        levels = self._reader.levels
        level = max(i for i in self._whole if i == 0 or self.width / levels[i][0] <= scale * 1.001)
        starts, boxes, sizes = [], [], []
        for axis, full in enumerate((self.width, self.height)):
            length = levels[level][axis]
            step = scale * length / full
            first, last = box[axis] * step, min(box[axis + 2] * step, length)
            reach = math.ceil(2 * max(1.0, step)) + 1  # of the bicubic filter
            start = max(0, math.floor(first) - reach)
            starts.append(start)
            sizes.append(min(length, math.ceil(last) + reach) - start)
            boxes.append((first - start, last - start))
        (left, right), (top, bottom) = boxes
        return self._reader.resample(
            level,
            (starts[0], starts[1], sizes[0], sizes[1]),
            (box[2] - box[0], box[3] - box[1]),
            (left, top, right, bottom),
        )


def _check_levels(path: Path, levels: tuple[tuple[int, int], ...]) -> None:
    for width, height in levels:
        if min(width, height) < 1:
            raise InputError(
                f'{path}: states {width} x {height} px as the size of a level; want a whole copy'
            )
        across, down = levels[0][0] / width, levels[0][1] / height
        # see `_whole_levels`
        if max(across, down) > _MOST_STRETCHED * min(across, down):
            raise InputError(
                f'{path}: states {levels[0][0]} x {levels[0][1]} px and a level of {width} x '
                f'{height} px, which is another shape; want a whole copy'
            )


def _whole_levels(levels: tuple[tuple[int, int], ...]) -> list[int]:
    """The levels that are the slide made smaller, and no more.

    Some scanners fill up the last tiles of a level. By how much nothing tells but its proportions:
    of others than the slide's, beyond rounding, it would be read beside its place.
    """
    found = []
    for number, (width, height) in enumerate(levels):
        across, down = levels[0][0] / width, levels[0][1] / height
        if abs(across - down) <= across / width + down / height:
            found.append(number)
    return found


def _choose_mpp(
    path: Path, reader: readers.Reader, given: float | None, override: bool
) -> tuple[float, tuple[float, float] | None, str | None]:
    """The `mpp`, `axis_mpps` and `doubt` of a slide."""
    if given is not None:
        _check_mpp(given, '--mpp')
        if override:
            return given, None, None
    stated = reader.mpp()
    # resolutions such as 72 dpi are nobody's statement
    if given is not None and not (stated and all(map(stated_mpp.is_plausible, stated))):
        return given, None, None
    if stated is None:
        raise InputError(f'{path}: has no um/px; give it as --mpp')
    x, y = (_check_mpp(value, str(path)) for value in stated)
    if max(x, y) > 1.1 * min(x, y):
        raise InputError(f'{path}: has {x:g} um/px along x and {y:g} along y; want square pixels')
    mpp = (x + y) / 2
    doubts = []
    if max(x, y) > _SQUARE * min(x, y):
        doubts.append(f'states {x:.4g} um/px along x and {y:.4g} along y; their mean is taken')
    if given is not None and abs(given / mpp - 1) > 0.1:
        doubts.append(
            f'states {mpp:.4g} um/px, so {given:g} is not taken; --override_mpp takes it'
        )
    return mpp, (x, y), '; '.join(doubts) or None


def _check_mpp(mpp: float, where: str) -> float:
    low, high = stated_mpp.PLAUSIBLE
    if not stated_mpp.is_plausible(mpp):
        raise InputError(
            f'{where}: {mpp:g} um/px is not plausible; want {low:g} to {high:g}, given as --mpp'
        )
    return mpp
