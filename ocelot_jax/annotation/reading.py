"""What people annotated on a slide, read from what they exported."""

import gzip
import zlib
from pathlib import Path

from ocelot_jax.annotation import qupath, tables
from ocelot_jax.annotation.annotations import Annotations
from ocelot_jax.io.errors import InputError, MissingFileError
from ocelot_jax.slides.slide import Slide

# What reads which files; each may also be gzipped.
_PARSERS = {
    '.geojson': qupath.parse,
    '.json': qupath.parse,
    '.csv': tables.parse,
    '.tsv': tables.parse,
    '.txt': tables.parse,
}
SUFFIXES = tuple(suffix + end for suffix in _PARSERS for end in ('', '.gz'))


def read(path: Path, slide: Slide) -> Annotations:
    """Reads the annotations of a slide.

    GeoJSON as QuPath exports it (see `qupath`), tables as QuPath or this project writes them (see
    `tables`), each also gzipped.

    Args:
        path: the file, with one of `SUFFIXES`.
        slide: what was annotated.

    Raises:
        MissingFileError: there is no such file.
        InputError: it is of another kind, damaged or empty, or not of this slide.
    """
    if not path.is_file():
        raise MissingFileError(f'{path}: is no file; want annotations of {slide.path.name}')
    name = path.name.lower().removesuffix('.gz')
    parse = _PARSERS.get(Path(name).suffix)
    if parse is None:
        raise InputError(f'{path}: is no kind of file that is read; want {_wanted(name)}')
    return parse(_content(path), path, slide)


def _wanted(name: str) -> str:
    if name.endswith(('.qpdata', '.qpproj')):
        return f"QuPath's {qupath.HOW_TO_EXPORT}, for only QuPath reads its own data"
    return f'{", ".join(_PARSERS)}, each also with .gz'


def _content(path: Path) -> bytes:
    data = path.read_bytes()
    if not data.startswith(b'\x1f\x8b'):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f'{path}: is damaged gzip ({error}); want a whole copy') from None
