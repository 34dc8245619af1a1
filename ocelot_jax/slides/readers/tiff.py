"""TIFFs that OpenSlide does not know, or not whole: OME-TIFF, QPTIFF, in strips or in one piece.

Of an OME-TIFF OpenSlide sees neither the pyramid nor the um/px. Tiles and strips are decoded as
regions need them, and kept for a while.
"""

import collections
import functools
import itertools
import math
import threading
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import tifffile
from PIL import Image

from ocelot_jax.io.errors import InputError
from ocelot_jax.slides.readers import base, openslide, stated_mpp
from ocelot_jax.slides.readers.base import on_white

SUFFIXES = ('.tif', '.tiff', '.qptiff')

_CACHE_BYTES = 256 << 20
_MAX_SEGMENT_BYTES = 1 << 30
_OME_UM = {'µm': 1.0, 'μm': 1.0, 'um': 1.0, 'nm': 1e-3, 'mm': 1e3, 'cm': 1e4, 'm': 1e6}
_IMAGEJ_UM = {'micron': 1.0, 'microns': 1.0, 'um': 1.0, 'µm': 1.0, '\\u00B5m': 1.0, 'mm': 1e3}
_RESOLUTION_UM: dict[int, float] = {
    tifffile.RESUNIT.INCH: 25400.0,
    tifffile.RESUNIT.CENTIMETER: 10000.0,
}


def can_read(path: Path) -> bool:
    """Whether the file is a TIFF that OpenSlide would not read as well."""
    if path.suffix.lower() not in SUFFIXES:
        return False
    try:
        with tifffile.TiffFile(path) as tiff:
            first = tiff.pages.first
            mine = tiff.is_ome or first.subifds or not first.is_tiled
    except Exception:  # tifffile raises whatever its parsers run into; another reader tells it
        return False
    return bool(mine) or path.suffix.lower() == '.qptiff' or not openslide.can_read(path)


class Reader(base.Reader):
    """A TIFF opened by tifffile; see `base.Reader`.

    Raises:
        InputError: the file is damaged, not in 8-bit RGB or RGBA, holds several scenes, or its
            strips are too large.
    """

    def __init__(self, path: Path):
        self._path = path
        try:
            self._tiff = tifffile.TiffFile(path)
            series = self._tiff.series[0]
            self._pages = [level.keyframe for level in series.levels]
        except Exception as error:  # see `can_read`
            raise InputError(f'{path}: is no whole TIFF ({_words(error)})') from None
        try:
            self._check(series)
        except InputError:
            self.close()
            raise
        except Exception as error:  # what a damaged table holds may be of any type
            self.close()
            raise InputError(f'{path}: is no whole TIFF ({_words(error)})') from None
        self.levels = tuple((page.imagewidth, page.imagelength) for page in self._pages)
        self._lock = threading.Lock()
        self._cache: collections.OrderedDict[tuple[int, int], np.ndarray] = (
            collections.OrderedDict()
        )

    def mpp(self) -> tuple[float, float] | None:
        return self._ome_mpp() or self._imagej_mpp() or self._resolution_mpp()

    def bounds(self) -> None:
        return None

    def region(self, level: int, x: int, y: int, width: int, height: int) -> Image.Image:
        page = self._pages[level]
        rows, columns, channels = page.chunks
        across = math.ceil(page.imagewidth / columns)
        result = np.full((height, width, channels), 255, np.uint8)
        for row, column in itertools.product(
            range(y // rows, math.ceil((y + height) / rows)),
            range(x // columns, math.ceil((x + width) / columns)),
        ):
            segment = self._segment(level, row * across + column)
            top, left = row * rows, column * columns
            first_y, first_x = max(y, top), max(x, left)
            last_y = min(y + height, top + segment.shape[0])
            last_x = min(x + width, left + segment.shape[1])
            result[first_y - y : last_y - y, first_x - x : last_x - x] = segment[
                first_y - top : last_y - top, first_x - left : last_x - left
            ]
        return on_white(Image.fromarray(result))

    def close(self) -> None:
        self._tiff.close()

    def _check(self, series: tifffile.TiffPageSeries) -> None:
        page = self._pages[0]
        channels = series.shape[-1] if series.axes == 'YXS' else None
        if series.dtype != np.uint8 or channels not in (3, 4):
            raise InputError(
                f'{self._path}: holds {series.dtype} of shape {series.shape}, axes {series.axes}; '
                'want one plane in 8-bit RGB or RGBA, which `bfconvert` or QuPath can export'
            )
        _check_alone(self._tiff.series, self._path)
        if not all(math.prod(each.chunks) for each in self._pages):
            raise InputError(f'{self._path}: is no whole TIFF (its tiles have no size)')
        _check_decoding(page, self._path)
        size = math.prod(page.chunks)
        if size > _MAX_SEGMENT_BYTES:
            raise InputError(
                f'{self._path}: must be decoded {size / 2**30:.1f} GiB at a time; want a tiled '
                'pyramidal TIFF, as `vips tiffsave --tile --pyramid` makes it'
            )

    def _segment(self, level: int, number: int) -> np.ndarray:
        """Decodes a tile or strip, [h,w,channels] uint8, or gives that of before."""
        page = self._pages[level]
        with self._lock:
            if (level, number) in self._cache:
                self._cache.move_to_end((level, number))
                return self._cache[level, number]
            try:
                file = page.parent.filehandle
                size = page.databytecounts[number]
                file.seek(page.dataoffsets[number])
                data = file.read(size) if size else None  # nothing was written there
                if data is not None and len(data) < size:
                    raise ValueError('the file ends within it')
            except Exception as error:  # a damaged table may hold anything
                raise self._damaged(error) from None
        try:
            decoded = page.decode(data, number, jpegtables=page.jpegtables)[0]
        except Exception as error:  # codecs raise errors of their own
            raise self._damaged(error) from None
        if decoded is None:
            decoded = np.full((1, *page.chunks), 255, np.uint8)
        with self._lock:
            self._cache[level, number] = decoded[0]
            # the last stays whatever its size: the next region most likely wants it again
            while len(self._cache) > 1 and self._cached_bytes() > _CACHE_BYTES:
                self._cache.popitem(last=False)
        return decoded[0]

    def _cached_bytes(self) -> int:
        return sum(segment.nbytes for segment in self._cache.values())

    def _damaged(self, error: Exception) -> InputError:
        return InputError(
            f'{self._path}: a part cannot be decoded ({_words(error)}); want a whole copy'
        )

    def _ome_mpp(self) -> tuple[float, float] | None:
        metadata = self._tiff.ome_metadata
        if metadata is None:
            return None
        try:
            tree = ElementTree.fromstring(metadata)
        except ElementTree.ParseError as error:
            raise InputError(f'{self._path}: its OME-XML is damaged ({error})') from None
        pixels = tree.find('{*}Image/{*}Pixels')
        attributes = {} if pixels is None else pixels.attrib
        units = [_OME_UM.get(attributes.get(f'PhysicalSize{axis}Unit', 'µm')) for axis in 'XY']
        if units[0] is None or units[1] is None:  # a size in units of nothing states no um
            return None
        x, y = (attributes.get(f'PhysicalSize{axis}') for axis in 'XY')
        return stated_mpp.check(x, y, self._path, 'OME-XML', (units[0], units[1]))

    def _imagej_mpp(self) -> tuple[float, float] | None:
        scale = _IMAGEJ_UM.get((self._tiff.imagej_metadata or {}).get('unit', ''))
        if scale is None:
            return None
        # 0 stays 0, which is no um/px
        x, y = (each and 1 / each for each in self._pixels_per_unit)
        return stated_mpp.check(x, y, self._path, 'ImageJ metadata', (scale, scale))

    def _resolution_mpp(self) -> tuple[float, float] | None:
        unit = _RESOLUTION_UM.get(self._pages[0].resolutionunit)
        x, y = self._pixels_per_unit
        return (unit / x, unit / y) if unit and x and y else None

    @functools.cached_property
    def _pixels_per_unit(self) -> tuple[float | None, float | None]:
        tags = [self._pages[0].tags.get(f'{axis}Resolution') for axis in 'XY']
        values = [tag and tag.value for tag in tags]
        try:
            x, y = (value[0] / value[1] if value and value[1] else None for value in values)
        except (TypeError, IndexError, ValueError) as error:  # no pairs of numbers
            raise InputError(f'{self._path}: is no whole TIFF ({_words(error)})') from None
        return x, y


def _words(error: Exception) -> str:
    """What an error says, in one line."""
    return ' '.join(str(error).split())


def _check_alone(series: Sequence[tifffile.TiffPageSeries], path: Path) -> None:
    """Refuses several scenes, of which the first would be taken for the slide.

    Smaller images beside a slide are its label, macro or thumbnail. In formats of scanners, whose
    slide tifffile finds and calls 'Baseline', they may be larger than a small slide.
    """
    if series[0].kind != 'ome' and series[0].name == 'Baseline':
        return
    pages = [one.keyframe for one in series]
    sizes = [
        (page.imagewidth, page.imagelength) for page in pages if page.samplesperpixel in (3, 4)
    ]
    first, *others = map(math.prod, sizes)
    if any(other >= first for other in others):
        shown = ', '.join(f'{width} x {height}' for width, height in sizes)
        raise InputError(
            f'{path}: holds {len(sizes)} color images, of {shown} pixels; want a file for each, '
            'as `bfconvert -series 0` writes that of the first'
        )


def _check_decoding(page: tifffile.TiffPage, path: Path) -> None:
    """Refuses colors that are not decoded as RGB, and codecs that are not installed."""
    photometric, compression = page.photometric, page.compression
    # a JPEG decoder makes RGB of YCbCr, others do not
    is_jpeg = compression == tifffile.COMPRESSION.JPEG
    if photometric != tifffile.PHOTOMETRIC.RGB and not (
        is_jpeg and photometric == tifffile.PHOTOMETRIC.YCBCR
    ):
        name = getattr(photometric, 'name', photometric)
        raise InputError(f'{path}: its colors are stored as {name}; want 8-bit RGB or RGBA')
    if compression not in tifffile.TIFF.DECOMPRESSORS:
        name = getattr(compression, 'name', compression)
        raise InputError(
            f'{path}: is compressed as {name}, which wants imagecodecs: '
            'pip install ocelot_jax[slides]'
        )
