"""Slides that OpenSlide reads, region by region."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from ocelot_jax.io.errors import InputError
from ocelot_jax.slides.readers import base, stated_mpp
from ocelot_jax.slides.readers.base import on_white

try:
    import openslide
except ImportError:  # of the `[slides]` extra
    INSTALLED = False
else:
    INSTALLED = True

_DICOM = '.dcm'
SUFFIXES = ('.svs', '.ndpi', '.vms', '.vmu', '.scn', '.mrxs', '.svslide', '.bif', '.czi', _DICOM)


_UNITS_UM = {'inch': 25400.0, 'centimeter': 10000.0}


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM: by its suffix, or its bytes, as archives name files by UIDs."""
    if re.fullmatch(r'(\.\d+)?', path.suffix) and path.is_file():
        with contextlib.suppress(OSError), path.open('rb') as file:
            return file.read(132)[128:] == b'DICM'
    return path.suffix.lower() == _DICOM


def can_read(path: Path) -> bool:
    """Whether OpenSlide is installed and knows the file's format, tiled TIFFs included."""
    return INSTALLED and openslide.OpenSlide.detect_format(path) is not None


class Reader(base.Reader):
    """A slide opened by OpenSlide; see `base.Reader`.

    Raises:
        InputError: the file is damaged.
    """

    def __init__(self, path: Path):
        self._path = path
        with self._errors():
            self._slide = openslide.OpenSlide(path)
        self.levels = self._slide.level_dimensions

    def mpp(self) -> tuple[float, float] | None:
        properties = self._slide.properties
        stated = None
        # of a plain TIFF OpenSlide gives its resolution, which may be the screen's
        if properties.get('openslide.vendor') != 'generic-tiff':
            x, y = (properties.get(f'openslide.mpp-{axis}') for axis in 'xy')
            stated = stated_mpp.check(x, y, self._path, 'slide')
        if stated is None:
            unit = _UNITS_UM.get(properties.get('tiff.ResolutionUnit', ''))
            densities = [float(properties.get(f'tiff.{axis}Resolution', 0)) for axis in 'XY']
            if unit and all(density > 0 for density in densities):
                stated = unit / densities[0], unit / densities[1]
        return stated

    def bounds(self) -> tuple[int, int, int, int] | None:
        names = (f'openslide.bounds-{name}' for name in ('x', 'y', 'width', 'height'))
        x, y, width, height = (int(self._slide.properties.get(name, -1)) for name in names)
        return (x, y, width, height) if min(x, y) >= 0 and min(width, height) > 0 else None

    def region(self, level: int, x: int, y: int, width: int, height: int) -> Image.Image:
        with self._errors():
            # OpenSlide wants the corner in pixels of the full level, by one factor for both axes
            factor = self._slide.level_downsamples[level]
            corner = round(x * factor), round(y * factor)
            image = self._slide.read_region(corner, level, (width, height))
        return on_white(image)

    def close(self) -> None:
        self._slide.close()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except openslide.OpenSlideError as error:
            reason = ' '.join(str(error).split())  # libdicom's may have several lines
            raise InputError(f'{self._path}: OpenSlide cannot read it ({reason})') from None
