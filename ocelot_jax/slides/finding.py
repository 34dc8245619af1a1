"""The slides of a folder, and the names of their results."""

import collections
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from absl import logging

from ocelot_jax.io import names
from ocelot_jax.io.errors import InputError
from ocelot_jax.slides import companions, prediction, readers

_FEW = 3
# A file's name has at most 255 bytes, of which work on a slide takes some.
_MAX_BYTES = 200


def find_slides(folder: Path, recursive: bool = False) -> dict[str, Path]:
    """Finds the slides and images of a folder, by their suffixes, of DICOM by its bytes, too.

    Several files that are one slide count once. Hidden files, and folders that hold results of
    ours, are passed over. What else is left out is told as a warning.

    Args:
        folder: where to look.
        recursive: whether to look in the folders within, too.

    Returns:
        The file that opens each slide, in order, by the name of its results: the stem of its
        path in the folder, with `__` between folders. Where two would be alike, even to systems
        that ignore case, it is the whole path.

    Raises:
        InputError: there are none.
    """
    slides: list[Path] = []
    nested: list[Path] = []
    broken: list[Path] = []
    foreign: list[Path] = []
    locked: list[Path] = []
    for place, files in _walk(folder, locked):
        paths = [place / name for name in files if readers.is_slide(place / name)]
        if place != folder and not recursive:
            nested += [place] if paths else []
            continue
        foreign += [place / name for name in files if readers.is_foreign(place / name)]
        broken += [path for path in paths if path.is_symlink() and not path.exists()]
        present = [path for path in paths if path.is_file()]
        slides += [first for first, *_ in companions.group(present)]
    _tell(folder, broken, 'broken links')
    _tell(folder, foreign, 'formats that are not read', '; --input=FILE tells how to convert one')
    _tell(folder, locked, 'folders that cannot be read')
    _tell(folder, nested, 'folders within that hold slides', '; --recursive takes them')
    if not slides:
        raise InputError(f'{folder}: holds no slide; want files of {", ".join(readers.SUFFIXES)}')
    slides.sort()
    return dict(zip(_names([path.relative_to(folder) for path in slides]), slides, strict=True))


def _walk(top: Path, locked: list[Path]) -> Iterator[tuple[Path, list[str]]]:
    """Folders, links to some included, with the names of the files in them, in order."""
    seen = set()
    walk = os.walk(
        top, onerror=lambda error: locked.append(Path(error.filename)), followlinks=True
    )
    for place, folders, files in walk:
        here = Path(place)
        real = os.path.realpath(place)
        # a link may lead back up
        if real in seen or (here != top and (here / prediction.RECORD).exists()):
            folders.clear()
            continue
        seen.add(real)
        tiles = {companions.tile_folder(Path(name)) for name in files}
        folders[:] = sorted(n for n in folders if n[0] != '.' and Path(n) not in tiles)
        yield here, sorted(name for name in files if name[0] != '.')


def _tell(folder: Path, paths: Sequence[Path], what: str, advice: str = '') -> None:
    if paths:
        told = [names.shown(path.relative_to(folder)) for path in paths[:_FEW]]
        few = ', '.join(told + ['...'] * (len(paths) > _FEW))
        logging.warning('%s: left out %s: %d (%s)%s', folder, what, len(paths), few, advice)


def _names(paths: Sequence[Path]) -> list[str]:
    """Names for relative paths: no two alike, whatever else is in the folder."""
    stems = [names.shown('__'.join(path.with_suffix('').parts)) for path in paths]
    wholes = [names.shown('__'.join(path.parts)) for path in paths]
    count = lambda some: collections.Counter(name.casefold() for name in some)
    taken, taken_wholes = count([*stems, *wholes]), count(wholes)
    chosen = []
    for path, stem, whole in zip(paths, stems, wholes, strict=True):
        name = stem if taken[stem.casefold()] == 1 else whole
        unlike = name == stem or taken_wholes[whole.casefold()] == 1
        if not unlike or len(name.encode()) > _MAX_BYTES:
            digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:8]
            name = f'{name[: _MAX_BYTES // 4]}-{digest}'
        chosen.append(name)
    return chosen
