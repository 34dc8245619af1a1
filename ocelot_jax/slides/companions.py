"""Slides of several files: DICOM series, and slides that lie beside their tiles."""

from collections.abc import Iterable
from pathlib import Path

from ocelot_jax.io.errors import MissingPackageError
from ocelot_jax.slides.readers import openslide

_MIRAX, _HAMAMATSU = '.mrxs', ('.vms', '.vmu')
_SERIES_UID = 0x0020000E


def group(paths: Iterable[Path]) -> list[list[Path]]:
    """Puts the files of a folder together that are one slide.

    Args:
        paths: slides and images of one folder, in order.

    Returns:
        The files of each slide. The first of them is the one to open, and all are in the order
        of these.
    """
    paths = list(paths)
    tiles = {tile for path in paths for tile in _beside(path)}
    slides: dict[object, list[Path]] = {}
    for path in paths:
        if path not in tiles:
            # what no series claims is a slide by itself
            slides.setdefault(_series(path) or path, []).append(path)
    return [[*files, *_beside(files[0])] for files in slides.values()]


def files_of(path: Path) -> list[Path]:
    """All files of the slide that `path` opens."""
    series = _series(path)
    if series is None:
        return [path, *_beside(path)]
    return sorted(p for p in path.parent.iterdir() if p == path or _series(p) == series)


def tile_folder(path: Path) -> Path | None:
    """The folder beside a slide that holds its tiles, where its format has one."""
    return path.with_suffix('') if path.suffix.lower() == _MIRAX else None


def _beside(path: Path) -> list[Path]:
    """The files that a slide needs beside the one that opens it, but for series."""
    folder = tile_folder(path)
    if folder is not None:
        return sorted(p for p in folder.rglob('*') if p.is_file())
    if path.suffix.lower() not in _HAMAMATSU or not path.is_file():
        return []
    # `key=value`, some of the values being names of files in the same folder
    lines = path.read_text('utf-8', 'surrogateescape').splitlines()
    names = {value.strip() for _, _, value in (line.partition('=') for line in lines)} - {''}
    return sorted(p for p in path.parent.iterdir() if p.name in names and p != path)


def _series(path: Path) -> str | None:
    """The series of a DICOM file; None of any other, and of one that is damaged.

    Raises:
        MissingPackageError: pydicom is not installed, so that a series would be many slides.
    """
    if not (openslide.is_dicom(path) and path.is_file()):
        return None
    try:
        from pydicom import filereader  # needs an extra
    except ImportError:
        raise MissingPackageError(
            f'{path}: pydicom is not installed, which tells what series a DICOM file is of: pip '
            'install ocelot_jax[slides]'
        ) from None
    try:
        with path.open('rb') as file:
            header = filereader.read_partial(file, lambda tag, *_: tag > _SERIES_UID)
        return str(header.SeriesInstanceUID)
    # pydicom raises whatever its parsers run into; opening the file says what is wrong with it
    except Exception:
        return None
