"""What was found on a slide: what prediction returns and every writer of outputs takes.

Points are in pixels of level 0 with pixel centers at integers, as everywhere in this project:
point `p` lies `(p + 0.5) * mpp` micrometres from the slide's top left corner. Every picture has
that corner too: its pixel `i` at `m` um/px covers `i * m` to `(i + 1) * m` micrometres. What is
written for QuPath is in its frame instead, see `SlideResult.qupath_frame`.
"""

import dataclasses

import numpy as np

from ocelot_jax.metrics.cells import Cells
from ocelot_jax.slides.fit import Fit

UNPREDICTED = 255
_TUMOR, _OTHER = 'TC', 'BC'
# of all places in tables and summaries, for those who read the files
FRAME = 'level-0 pixels of the whole slide, pixel centers at integers'


@dataclasses.dataclass(frozen=True)
class Sample:
    """A window of a slide to look at.

    Attributes:
        x: of its top left corner, in level-0 pixels.
        y: of its top left corner, in level-0 pixels.
        mpp: micrometres per pixel of `image`.
        image: [h, w, 3] uint8.
    """

    x: int
    y: int
    mpp: float
    image: np.ndarray


@dataclasses.dataclass(frozen=True)
class SlideResult:
    """What was found on a slide.

    Attributes:
        name: what the slide is called, the file's stem or name.
        width: of the slide, in level-0 pixels.
        height: of the slide, in level-0 pixels.
        mpp: micrometres per level-0 pixel.
        cell_classes: names of the labels 1..K.
        tissue_classes: names of the tissue values 0..T-1.
        cells: points [n, 2] float64 in level-0 pixels, labels [n] int32, scores [n] float32.
        tissue: [h, w] uint8, 0..T-1 and 255 where nothing was predicted; may be a memmap, far
            larger than memory should hold. None without a tissue branch.
        tissue_mpp: micrometres per pixel of `tissue`.
        foreground: [h, w] bool, where tissue was looked for; small, at most about 2000 px a side.
        foreground_mpp: micrometres per pixel of `foreground`.
        thumbnail: [h, w, 3] uint8, as fine as `foreground` or finer, at most about 2000 px a side.
        samples: a few windows to look at.
        bounds: (x, y, width, height) of the part that was scanned, in level-0 pixels, where the
            file states one.
        tumor_class: whose share of all cells is the tumor purity; where None, see
            `purity_classes`.
        warnings: sentences on why the results may be worth little.
        fits: how far the slide looks like what each run was trained on, see `fit.compare`.
        runs: names of the runs that found it, where they are known.

    Raises:
        ValueError: if shapes, types or values are not as above.
    """

    name: str
    width: int
    height: int
    mpp: float
    cell_classes: tuple[str, ...]
    tissue_classes: tuple[str, ...]
    cells: Cells
    tissue: np.ndarray | None
    tissue_mpp: float
    foreground: np.ndarray
    foreground_mpp: float
    thumbnail: np.ndarray
    samples: tuple[Sample, ...]
    bounds: tuple[int, int, int, int] | None = None
    tumor_class: str | None = None
    warnings: tuple[str, ...] = ()
    fits: tuple[Fit, ...] = ()
    runs: tuple[str, ...] = ()

    @property
    def purity_classes(self) -> tuple[str, tuple[str, ...]] | None:
        """The class of tumor cells, and the classes among whose cells its share is the purity.

        TC among TC and BC where no other is told; None where the classes have other names.
        """
        if self.tumor_class is not None:
            return self.tumor_class, self.cell_classes
        return (_TUMOR, (_TUMOR, _OTHER)) if {_TUMOR, _OTHER} <= set(self.cell_classes) else None

    @property
    def tissue_map(self) -> np.ndarray:
        """`tissue`, of a slide on which it was predicted."""
        if self.tissue is None:
            raise ValueError(f'{self.name}: has no tissue map')
        return self.tissue

    @property
    def qupath_frame(self) -> tuple[int, int, int, int]:
        """What QuPath shows, (x, y, width, height) in level-0 pixels: the bounds, or the slide.

        QuPath counts pixels from its corner (x, y), and a pixel's center lies at +0.5.
        """
        return self.bounds or (0, 0, self.width, self.height)

    @property
    def size_um(self) -> tuple[float, float]:
        """Width and height of the slide in micrometres."""
        return self.width * self.mpp, self.height * self.mpp

    @property
    def micrometres(self) -> np.ndarray:
        """[n, 2] float64, the cells' places from the slide's top left corner."""
        return (self.cells.points + 0.5) * self.mpp

    def __post_init__(self) -> None:
        count = len(self.cells.points)
        self._want('cells.points', self.cells.points, np.float64, (count, 2))
        self._want('cells.labels', self.cells.labels, np.int32, (count,))
        self._want('cells.scores', self.cells.scores, np.float32, (count,))
        self._want('foreground', self.foreground, np.bool_, (None, None))
        self._want('thumbnail', self.thumbnail, np.uint8, (None, None, 3))
        if self.tissue is not None:
            self._want('tissue', self.tissue, np.uint8, (None, None))
        for index, sample in enumerate(self.samples):
            self._want(f'samples[{index}].image', sample.image, np.uint8, (None, None, 3))
        if not np.isfinite(self.cells.points).all():
            raise ValueError(f'{self.name}: a point is NaN or infinite; want pixels')
        self._want_between('cells.labels', self.cells.labels, 1, len(self.cell_classes))
        self._want_between('cells.scores', self.cells.scores, 0, 1)

    def _want(
        self, field: str, array: np.ndarray, dtype: type, shape: tuple[int | None, ...]
    ) -> None:
        fits = len(array.shape) == len(shape) and all(
            wanted in (None, found) for found, wanted in zip(array.shape, shape, strict=True)
        )
        if not fits or array.dtype != dtype:
            text = ', '.join('any' if size is None else str(size) for size in shape)
            raise ValueError(
                f'{self.name}: {field} is {array.dtype}{list(array.shape)}; '
                f'want {np.dtype(dtype)}[{text}]'
            )

    def _want_between(self, field: str, array: np.ndarray, low: int, high: int) -> None:
        # A NaN is in no interval.
        outside = array[~((array >= low) & (array <= high))]
        if outside.size:
            raise ValueError(f'{self.name}: {field} hold {outside[0]}; want {low} to {high}')
