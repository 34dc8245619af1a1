"""The windows of a slide: cell windows, the tissue windows around them, and what each owns.

Two grids of pixels start at the slide's top left corner: the cell grid at the cell patches'
um/px and the tissue grid at the tissue patches'. Windows have whole origins in their grid, so
that a pixel of the slide is the same pixel in every window that holds it.

Cell windows overlap; the middles of the overlaps are seams, and what lies between seams, a
window's *core*, is the window's own: the cores tile the slide. No window reaches out of the
slide, unless the slide is smaller than one: the last ones overlap more instead, and what is
beyond a small slide is white.

Some neighboring cell windows share a tissue window, whose middle is theirs: as many as keep to
the middle half of its field of view. It moves from there only where the slide ends.
"""

import dataclasses
import math

import numpy as np

from ocelot_jax.data.patches import Patches
from ocelot_jax.io.errors import InputError


@dataclasses.dataclass(frozen=True)
class Axis:
    """Windows along one axis of the cell grid.

    Attributes:
        origins: [n] int, first pixel of each window.
        seams: [n+1] int, the cores' borders, from 0 to the slide's end.
        groups: [m+1] int, number of the first window of each group that shares a tissue window.
        tissue_origins: [m] int, first pixel of each tissue window, in the tissue grid.
        tissue_seams: [m+1] int, borders of what each tissue window owns, in the tissue grid.
    """

    origins: np.ndarray
    seams: np.ndarray
    groups: np.ndarray
    tissue_origins: np.ndarray
    tissue_seams: np.ndarray


@dataclasses.dataclass(frozen=True)
class Group:
    """Cell windows that share a tissue window.

    Attributes:
        column: number of the tissue window along x.
        row: the same along y.
        windows: numbers of the cell windows, row by row over the slide.
    """

    column: int
    row: int
    windows: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Layout:
    """All windows of a slide.

    Attributes:
        patches: sizes and um/px of the windows.
        x: the windows' columns.
        y: the windows' rows.
    """

    patches: Patches
    x: Axis
    y: Axis

    @property
    def tissue_shape(self) -> tuple[int, int]:
        """Height and width of the tissue grid."""
        return int(self.y.tissue_seams[-1]), int(self.x.tissue_seams[-1])

    @property
    def num_windows(self) -> int:
        """Number of all cell windows."""
        return len(self.x.origins) * len(self.y.origins)

    @property
    def max_group(self) -> int:
        """The most cell windows that share a tissue window."""
        return int(np.diff(self.x.groups).max() * np.diff(self.y.groups).max())

    def origin(self, window: int) -> tuple[int, int]:
        """First column and row of a cell window, in the cell grid."""
        row, column = divmod(window, len(self.x.origins))
        return int(self.x.origins[column]), int(self.y.origins[row])

    def tissue_origin(self, group: Group) -> tuple[int, int]:
        """First column and row of a group's tissue window, in the tissue grid."""
        return int(self.x.tissue_origins[group.column]), int(self.y.tissue_origins[group.row])

    def tissue_core(self, group: Group) -> tuple[slice, slice]:
        """Rows and columns of the tissue grid that a group's tissue window owns."""
        return (
            slice(*map(int, self.y.tissue_seams[group.row :][:2])),
            slice(*map(int, self.x.tissue_seams[group.column :][:2])),
        )

    def center(self, group: Group, window: int) -> np.ndarray:
        """Relative center (c_x, c_y) of a cell window in its tissue window, [2] float32."""
        p = self.patches
        middle = (np.array(self.origin(window)) + p.cell_size / 2) * p.cell_mpp / p.tissue_mpp
        return ((middle - self.tissue_origin(group)) / p.tissue_size).astype(np.float32)

    def owners(self, points: np.ndarray) -> np.ndarray:
        """Number of the cell window that owns each place; -1 beyond the slide.

        Args:
            points: [n,2] (x, y), pixels of the cell grid.
        """
        columns, rows = (
            np.searchsorted(axis.seams, points[:, i], 'right') - 1
            for i, axis in enumerate((self.x, self.y))
        )
        inside = (columns >= 0) & (columns < len(self.x.origins))
        inside &= (rows >= 0) & (rows < len(self.y.origins))
        return np.where(inside, rows * len(self.x.origins) + columns, -1)

    def is_near_core(self, points: np.ndarray, window: int, distance: int) -> np.ndarray:
        """Whether each place is at most `distance` pixels out of a cell window's core, [n] bool.

        Args:
            points: [n,2] (x, y), pixels of the cell grid; those beyond the slide are not near.
            window: the window's number.
            distance: pixels, along either axis.
        """
        near = self.owners(points) >= 0
        row, column = divmod(window, len(self.x.origins))
        for i, (axis, k) in enumerate(((self.x, column), (self.y, row))):
            near &= points[:, i] >= axis.seams[k] - distance
            near &= points[:, i] < axis.seams[k + 1] + distance
        return near

    def groups(self, foreground: np.ndarray, mpp: float) -> list[Group]:
        """The windows to predict: those whose core holds some foreground.

        Args:
            foreground: [h,w] bool.
            mpp: its um/px; its corner is the slide's.
        """
        sums = np.pad(foreground.astype(np.int64), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
        scale = self.patches.cell_mpp / mpp
        (top, bottom), (left, right) = (
            _covering(axis.seams * scale, size)
            for axis, size in zip((self.y, self.x), foreground.shape, strict=True)
        )
        counts = sums[np.ix_(bottom, right)] - sums[np.ix_(top, right)]
        wanted = counts - sums[np.ix_(bottom, left)] + sums[np.ix_(top, left)] > 0
        groups = []
        for row in range(len(self.y.tissue_origins)):
            rows = range(*self.y.groups[row:][:2])
            for column in range(len(self.x.tissue_origins)):
                columns = range(*self.x.groups[column:][:2])
                windows = [
                    int(r * len(self.x.origins) + c) for r in rows for c in columns if wanted[r, c]
                ]
                if windows:
                    groups.append(Group(column, row, tuple(windows)))
        return groups


def lay_out(width: int, height: int, mpp: float, patches: Patches, margin: int) -> Layout:
    """Lays windows over a slide.

    Args:
        width: of the slide, in its own pixels.
        height: the same.
        mpp: um per pixel of the slide.
        patches: sizes and um/px of the windows.
        margin: least distance of a seam from the border of a window, pixels of the cell grid; a
            pixel of the tissue grid or more.

    Raises:
        InputError: the windows are too small for the margin.
    """
    p = patches
    if not p.tissue_mpp / p.cell_mpp <= margin < p.cell_size / 2:
        raise InputError(
            f'margin is {margin} px; want at least a pixel of a tissue window, '
            f'{p.tissue_mpp / p.cell_mpp:.3g} px, and less than half a cell window of '
            f'{p.cell_size} px'
        )
    return Layout(patches, *(_axis(length * mpp, patches, margin) for length in (width, height)))


def grid_length(length: int, mpp: float, grid_mpp: float) -> int:
    """Whole pixels of a grid in `length` pixels of a slide, at least 1."""
    # 20000 px at 0.25 um are 25000 px at 0.2, whatever floats make of it
    return max(1, math.floor(length * mpp / grid_mpp + 1e-6))


def sides_mm(
    shape: tuple[int, int], grid_mpp: float, size_um: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """How high each row and how wide each column of a grid over a slide is, mm.

    All are a pixel but the last, which ends where the slide does, so that areas add up to the
    slide's: a grid leaves out what is less than a pixel, and an overview's last squares are cut.

    Args:
        shape: rows and columns of the grid.
        grid_mpp: um/px of the grid.
        size_um: width and height of the slide.

    Returns:
        [rows] and [columns] float64.
    """

    def sides(count: int, length_um: float) -> np.ndarray:
        last = length_um - (count - 1) * grid_mpp
        return np.append(np.full(count - 1, grid_mpp), last) / 1000

    width, height = size_um
    rows, columns = shape
    return sides(rows, height), sides(columns, width)


def _axis(length_um: float, p: Patches, margin: int) -> Axis:
    length = grid_length(1, length_um, p.cell_mpp)
    to_tissue = p.cell_mpp / p.tissue_mpp
    # a pixel is where its middle is, and none is beyond the cell grid, where no window looks
    tissue_length = grid_length(1, length_um, p.tissue_mpp)
    tissue_length = min(tissue_length, max(1, math.ceil(length * to_tissue - 0.5)))
    count = 1 + max(0, math.ceil((length - p.cell_size) / (p.cell_size - 2 * margin)))
    origins = np.rint(np.linspace(0, max(0, length - p.cell_size), count)).astype(int)
    seams = np.array([0, *(origins[:-1] + p.cell_size + origins[1:]) // 2, length])

    groups = _group(count, p, p.cell_size - 2 * margin)
    middles = (origins[groups[:-1]] + origins[groups[1:] - 1] + p.cell_size) / 2 * to_tissue
    room = tissue_length - p.tissue_size
    tissue_origins = np.rint(middles - p.tissue_size / 2).astype(int)
    tissue_origins = np.clip(tissue_origins, min(0, room), max(0, room))
    tissue_seams = np.ceil(seams[groups] * to_tissue - 0.5).astype(int)
    tissue_seams[-1] = tissue_length
    return Axis(origins, seams, groups, tissue_origins, tissue_seams)


def _group(count: int, p: Patches, stride: int) -> np.ndarray:
    """Shares windows out: as many together as fit into half a tissue window's field of view."""
    half = p.tissue_size * p.tissue_mpp / p.cell_mpp / 2
    most = max(1, 1 + math.floor((half - p.cell_size) / stride))
    return np.rint(np.linspace(0, count, math.ceil(count / most) + 1)).astype(int)


def _covering(borders: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """First and behind-the-last pixels, of `size`, that lie between borders in part."""
    first = np.clip(np.floor(borders[:-1] + 1e-6), 0, size - 1).astype(int)
    last = np.clip(np.ceil(borders[1:] - 1e-6), first + 1, size).astype(int)
    last[-1] = size
    return first, last
