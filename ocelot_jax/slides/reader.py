"""Slides and large images, read at any um/px.

What OpenSlide knows is read by it, piece by piece; any other image by Pillow, all at once.
"""

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from PIL import Image

from ocelot_jax.data import images
from ocelot_jax.io.errors import InputError, MissingFileError
from ocelot_jax.slides import windows

try:
    import openslide
except ImportError:  # an extra; see `_open_source`
    openslide = None

PLAIN = ('.png', '.jpg', '.jpeg', '.tif', '.tiff')
SLIDES = ('.svs', '.ndpi', '.vms', '.vmu', '.scn', '.mrxs', '.svslide', '.bif', '.czi', '.dcm')

_PLAUSIBLE_MPP = (0.05, 20.0)
_MAX_PLAIN_PIXELS = 1_000_000_000
_OVERVIEW_BLOCK = 4096
_WHITE = (255, 255, 255)


class Source(Protocol):
    """Levels of an image, the full one first, each of (width, height) pixels."""

    levels: tuple[tuple[int, int], ...]

    def mpp(self) -> tuple[float, float] | None:
        """Micrometres per pixel of the full level along x and y, None where it is not told."""

    def region(self, level: int, x: int, y: int, width: int, height: int) -> Image.Image:
        """Reads pixels of a level as RGB; the region lies within the level."""

    def close(self) -> None:
        """Closes the file."""


class Slide:
    """A slide or large image; may be read by many threads at once.

    Args:
        path: the file.
        mpp: micrometres per pixel of its full resolution; what the file says where None.

    Attributes:
        path: as given.
        name: the file's stem.
        width: pixels at full resolution.
        height: the same.
        mpp: micrometres per pixel at full resolution.

    Raises:
        MissingFileError: there is no such file.
        InputError: it is no image in 8-bit color, or nobody says its um/px.
    """

    def __init__(self, path: str | os.PathLike, mpp: float | None = None):
        self.path = Path(path)
        self.name = self.path.stem
        self._source = _open_source(self.path)
        self.width, self.height = self._source.levels[0]
        try:
            self.mpp = _check_mpp(mpp, '--mpp') if mpp else _stated_mpp(self.path, self._source)
        except ValueError:
            self.close()
            raise

    def read(self, x: int, y: int, width: int, height: int, mpp: float) -> np.ndarray:
        """Reads a region of the slide as if the whole had been brought to `mpp`.

        Shrunk with anti-aliasing (bicubic) from the next finer level.

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
        # whatever the levels are, no block needs more of the full resolution than this
        block = max(1, int(_OVERVIEW_BLOCK * self.mpp / mpp))
        result = np.empty((height, width, 3), np.uint8)
        for y in range(0, height, block):
            for x in range(0, width, block):
                w, h = min(block, width - x), min(block, height - y)
                result[y : y + h, x : x + w] = self.read(x, y, w, h, mpp)
        return result

    def describe(self) -> dict[str, Any]:
        """What tells this slide from others, as JSON holds it."""
        return {
            'file': self.path.name,
            'bytes': self.path.stat().st_size,
            'width': self.width,
            'height': self.height,
            'mpp': self.mpp,
        }

    def close(self) -> None:
        """Closes the file."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _resample(self, box: tuple[int, int, int, int], mpp: float) -> np.ndarray:
        """Reads the box (left, top, right, bottom) of the grid of `mpp`, within the slide."""
        scale = mpp / self.mpp
        levels = self._source.levels
        level = max(
            i for i, (w, _) in enumerate(levels) if i == 0 or self.width / w <= scale * 1.001
        )
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
        image = self._source.region(level, *starts, *sizes)
        (left, right), (top, bottom) = boxes
        shape = (box[2] - box[0], box[3] - box[1])
        return np.asarray(
            image.resize(shape, Image.Resampling.BICUBIC, box=(left, top, right, bottom))
        )


class _OpenSlideSource:
    """Levels of what OpenSlide reads."""

    def __init__(self, path: Path):
        self._path = path
        with self._errors():
            self._slide = openslide.OpenSlide(path)
        self.levels = self._slide.level_dimensions

    def mpp(self) -> tuple[float, float] | None:
        properties = self._slide.properties
        stated = [properties.get(f'openslide.mpp-{axis}') for axis in 'xy']
        if not all(stated):
            units = {'inch': 25400.0, 'centimeter': 10000.0}
            unit = units.get(properties.get('tiff.ResolutionUnit', ''))
            densities = [float(properties.get(f'tiff.{axis}Resolution', 0)) for axis in 'XY']
            if unit is None or not all(densities):
                return None
            stated = [unit / density for density in densities]
        return float(stated[0]), float(stated[1])

    def region(self, level: int, x: int, y: int, width: int, height: int) -> Image.Image:
        full, size = self.levels[0], self.levels[level]
        place = (round(x * full[0] / size[0]), round(y * full[1] / size[1]))
        with self._errors():
            image = self._slide.read_region(place, level, (width, height))
        return _on_white(image)

    def close(self) -> None:
        self._slide.close()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except openslide.OpenSlideError as error:
            raise InputError(f'{self._path}: OpenSlide cannot read it ({error})') from None


class _PlainSource:
    """The one level of an image that Pillow reads."""

    def __init__(self, path: Path):
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            with Image.open(path) as image:
                if image.width * image.height > _MAX_PLAIN_PIXELS:
                    raise InputError(
                        f'{path}: {image.width} x {image.height} px are too many to be read at '
                        'once; want a tiled pyramidal TIFF, as `vips tiffsave --tile --pyramid` '
                        'makes it'
                    )
                if image.mode not in ('RGB', 'RGBA'):
                    raise InputError(f'{path}: color mode is {image.mode}; want 8-bit RGB or RGBA')
                dpi = image.info.get('dpi')
                self._image = _on_white(image)
        except (OSError, SyntaxError) as error:
            reason = str(error).split(' <')[0]
            raise InputError(f'{path}: cannot be read as an image ({reason})') from None
        finally:
            Image.MAX_IMAGE_PIXELS = limit
        self._dpi = dpi
        self.levels = (self._image.size,)

    def mpp(self) -> tuple[float, float] | None:
        if not self._dpi or not all(self._dpi):
            return None
        return 25400.0 / float(self._dpi[0]), 25400.0 / float(self._dpi[1])

    def region(self, level: int, x: int, y: int, width: int, height: int) -> Image.Image:
        del level
        return self._image.crop((x, y, x + width, y + height))

    def close(self) -> None:
        self._image.close()


def _on_white(image: Image.Image) -> Image.Image:
    """What is transparent in an image becomes white."""
    if image.mode == 'RGB':
        return image.copy()
    if image.getextrema()[3][0] == 255:
        return image.convert('RGB')
    result = Image.new('RGB', image.size, _WHITE)
    result.paste(image, mask=image.getchannel('A'))
    return result


def _open_source(path: Path) -> Source:
    if not path.exists():
        raise MissingFileError(f'{path}: no such file; want a slide or an image')
    suffix = path.suffix.lower()
    images.check_depth(path)
    if openslide is not None and openslide.OpenSlide.detect_format(path) is not None:
        return _OpenSlideSource(path)
    if suffix in PLAIN:
        return _PlainSource(path)
    hint = '' if openslide else ', which is not installed: pip install ocelot_jax[slides]'
    raise InputError(
        f'{path}: no slide that OpenSlide knows{hint}; want one, or {", ".join(PLAIN)}'
    )


def _stated_mpp(path: Path, source: Source) -> float:
    stated = source.mpp()
    if stated is None:
        raise InputError(f'{path}: says no um/px; give it as --mpp')
    x, y = (_check_mpp(value, str(path)) for value in stated)
    if max(x, y) > 1.1 * min(x, y):
        raise InputError(f'{path}: says {x:g} um/px along x and {y:g} along y; want square pixels')
    return (x + y) / 2


def _check_mpp(mpp: float, where: str) -> float:
    low, high = _PLAUSIBLE_MPP
    if not low <= mpp <= high:
        raise InputError(
            f'{where}: {mpp:g} um/px are of no microscope; want {low:g} to {high:g}, as --mpp'
        )
    return mpp
