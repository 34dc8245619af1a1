"""The files of a data set in OCELOT's layout: where they are and what each one holds.

    images/{train,val,test}/{cell,tissue}/ID.jpg   or .jpeg, .png, .tif, .tiff
    annotations/{train,val,test}/cell/ID.csv       x,y,label per line; labels from 1
    annotations/{train,val,test}/tissue/ID.png     or .tif, .tiff; classes from 1, 255 unknown
    metadata.json

Endings may be in any letter case.

The layout is that of the OCELOT release (Zenodo record 8417503), in a directory or in a zip,
there with or without one top folder. Nothing is ever unpacked.
"""

import math
import os
import pathlib
import threading
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ocelot_jax.data import images
from ocelot_jax.io.errors import InputError, MissingFileError

SPLIT_FOLDERS = {'train': 'train', 'validation': 'val', 'test': 'test'}
UNKNOWN = 255
ANYWHERE = (math.inf, math.inf)
"""The size of a patch for cells that may lie anywhere."""
METADATA = 'metadata.json'

_IMAGES = '.jpg', '.jpeg', '.png', '.tif', '.tiff'
# Where the files of a kind lie, and how their names may end. No JPEG of masks: it blurs classes.
_KINDS = {
    'cell_image': ('images/{}/cell', _IMAGES),
    'tissue_image': ('images/{}/tissue', _IMAGES),
    'cells': ('annotations/{}/cell', ('.csv',)),
    'tissue_mask': ('annotations/{}/tissue', ('.png', '.tif', '.tiff')),
}
_ENDINGS = {ending for _, endings in _KINDS.values() for ending in endings}


def split_name(name: str) -> str:
    """The name of a split, which may be called 'val', the release's own name for the second.

    Raises:
        InputError: for any other name.
    """
    name = 'validation' if name == 'val' else name
    if name not in SPLIT_FOLDERS:
        raise InputError(f"split is {name!r}; want 'train', 'validation' (or 'val') or 'test'")
    return name


def kind_folder(kind: str, split: str) -> str:
    """Names the folder of a split's files of a kind, relative to the root."""
    return _KINDS[kind][0].format(SPLIT_FOLDERS[split])


def usual_name(kind: str, split: str, pair_id: str) -> str:
    """Names a pair's file of a kind, relative to the root, as the OCELOT release does."""
    return f'{kind_folder(kind, split)}/{pair_id}{_KINDS[kind][1][0]}'


def by_pair(names: Iterable[str]) -> dict[str, list[str]]:
    """Groups files by the ids of their pairs, sorted; those that are of no kind are left out."""
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        stem, ending = os.path.splitext(name.rpartition('/')[2])
        if ending.lower() in _ENDINGS and not stem.startswith('.'):
            found.setdefault(stem, []).append(name)
    return found


def fitting(kind: str, names: Iterable[str]) -> list[str]:
    """Those of the names that may be a file of the kind."""
    return [name for name in names if name.lower().endswith(_KINDS[kind][1])]


def problem(kind: str, names: Sequence[str], pair_id: str) -> str | None:
    """What is wrong where a pair's files of a kind are `names`; None where it is one that fits."""
    fit = fitting(kind, names)
    if len(fit) == 1:
        return None
    held = ' and '.join(name.rpartition('/')[2] for name in fit or names)
    if fit:
        return f'{held} are both of pair {pair_id}; want one of them'
    found = f'; {held} is there, want {" or ".join(_KINDS[kind][1])}' if held else ''
    return f'missing, for pair {pair_id}{found}'


class Files:
    """Read access to the files of a directory or a zip, by name relative to the root.

    The root is where `metadata.json` lies: the top, or the one folder there. Instances may be
    pickled and read from many threads and processes at once: each thread of each process opens
    a zip for itself.

    Raises:
        MissingFileError: if there is nothing at `path`.
        InputError: if `path` is neither directory nor zip, if it holds no (or more than one)
            `metadata.json`, or if a member's path leads out of the zip.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = pathlib.Path(path).expanduser()
        self._local = threading.local()
        if not self.path.exists():
            raise MissingFileError(f"{self.path} does not exist; want a folder in OCELOT's layout")
        self._is_zip = not self.path.is_dir()
        if self._is_zip and not zipfile.is_zipfile(self.path):
            raise InputError(
                f'{self.path}: is neither a directory nor a zip file; want one of these, whole'
            )
        self._prefix = self._find_root()

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != '_local'}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._local = threading.local()

    def label(self, name: str) -> str:
        """Names a file for an error: its path, through the zip where it is in one."""
        return f'{self.path}/{self._prefix}{name}'

    def list(self, folder: str) -> set[str]:
        """Names, relative to the root, of the files that lie directly in a folder."""
        start = f'{self._prefix}{folder}/'
        if self._is_zip:
            found = {n[len(start) :] for n in self._zip().namelist() if n.startswith(start)}
            return {f'{folder}/{name}' for name in found if name and '/' not in name}
        directory = self.path / start
        if not directory.is_dir():
            return set()
        return {f'{folder}/{entry.name}' for entry in directory.iterdir()}

    def read(self, name: str) -> bytes:
        """Reads a file's bytes.

        Raises:
            InputError: if the file is missing or damaged.
        """
        try:
            if self._is_zip:
                return self._zip().read(self._prefix + name)
            return (self.path / self._prefix / name).read_bytes()
        except (KeyError, FileNotFoundError):
            raise InputError(f'{self.label(name)}: missing') from None
        except (OSError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
            raise InputError(f'{self.label(name)}: cannot be read ({error})') from None

    def checksum(self, name: str) -> tuple[int, int]:
        """Size and CRC-32 of a file's bytes; a zip keeps them, so that none of them is read.

        Raises:
            InputError: if the file is missing or damaged.
        """
        if self._is_zip:
            try:
                member = self._zip().getinfo(self._prefix + name)
            except KeyError:
                raise InputError(f'{self.label(name)}: missing') from None
            return member.file_size, member.CRC
        data = self.read(name)
        return len(data), zlib.crc32(data)

    def _zip(self) -> zipfile.ZipFile:
        # A handle must not be shared: threads and forked processes would move one file offset.
        if getattr(self._local, 'pid', None) != os.getpid():
            try:
                self._local.zip = zipfile.ZipFile(self.path)
            # the last of versions and methods that `zipfile` does not know
            except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
                raise InputError(f'{self.path}: not a whole zip file ({error})') from None
            self._local.pid = os.getpid()
        return self._local.zip

    def _find_root(self) -> str:
        """Finds the folder of `metadata.json`: '' or 'top/'."""
        if self._is_zip:
            members = self._zip().namelist()
            for member in members:
                parts = member.replace('\\', '/').split('/')
                if member.startswith(('/', '\\')) or '..' in parts or ':' in parts[0]:
                    raise InputError(f'{self.path}: member {member!r} leads out of the zip')
            found = [m for m in members if m.split('/')[-1] == METADATA and m.count('/') < 2]
        else:
            tops = [self.path / METADATA, *self.path.glob(f'*/{METADATA}')]
            found = [p.relative_to(self.path).as_posix() for p in tops if p.is_file()]
        if METADATA in found:
            return ''
        roots = sorted({m.removesuffix(METADATA) for m in found} - {'__MACOSX/'})
        if len(roots) != 1:
            held = f'{len(roots)} of them ({", ".join(roots)})' if roots else 'none'
            raise InputError(
                f'{self.path}: {METADATA} wanted once, at the top or in the one top folder; '
                f'found {held}'
            )
        return roots[0]


def decode_mask(data: bytes, label: str, classes: int) -> np.ndarray:
    """Decodes a tissue mask to its classes as in memory.

    The file, PNG or TIFF, has one 8-bit channel, 1..`classes`, and 255 for unknown; in memory it
    is [h, w, 1] uint8, 0..classes-1, and 255 for unknown.

    Raises:
        InputError: if the file is damaged or holds any other value.
    """
    mask = images.decode_gray(data, label)
    good = ((mask >= 1) & (mask <= classes)) | (mask == UNKNOWN)
    if not good.all():
        value = mask[~good].min()
        raise InputError(f'{label}: mask value {value} is no class; want 1..{classes} or 255')
    return np.where(mask == UNKNOWN, UNKNOWN, mask - np.uint8(1)).astype(np.uint8)[..., None]


def decode_cells(
    data: bytes, label: str, classes: int, size: tuple[float, float]
) -> dict[str, np.ndarray]:
    """Reads the annotated cells of a patch.

    Args:
        data: the CSV's bytes: `x,y,label` per line, no header; may be empty.
        label: the name of the file, for errors.
        classes: the number of cell classes.
        size: (width, height) of the cell patch.

    Returns:
        'x' and 'y' [n] float32 (pixels, centers at integers) and 'label' [n] int64 (1..classes).

    Raises:
        InputError: naming the line that is no such triple, or whose point or label is outside.
    """
    try:
        lines = data.decode('utf-8-sig').splitlines()
    except UnicodeDecodeError:
        raise InputError(f'{label}: not a text file; want x,y,label per line') from None
    cells = [
        _parse_cell(line, f'{label}: line {number}', classes, size)
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]
    columns = np.array(cells, np.float64).reshape(-1, 3).T
    dtypes = {'x': np.float32, 'y': np.float32, 'label': np.int64}
    return {name: x.astype(dtypes[name]) for name, x in zip(dtypes, columns, strict=True)}


def count_duplicates(cells: Mapping[str, np.ndarray]) -> int:
    """How many of the `cells` of `decode_cells`, of any class, lie exactly where another does."""
    points = np.stack([cells['x'], cells['y']], -1)
    return len(points) - len(np.unique(points, axis=0))


def _parse_cell(line: str, where: str, classes: int, size: tuple[float, float]) -> list[float]:
    columns = line.split(',')
    if len(columns) != 3:
        raise InputError(f'{where}: {len(columns)} columns in {line!r}; want 3, x,y,label')
    try:
        x, y, kind = cell = [float(column) for column in columns]
    except ValueError:
        raise InputError(f'{where}: {line!r} is not numeric; want x,y,label') from None
    for axis, value, length in zip('xy', (x, y), size, strict=True):
        # A pixel reaches half a pixel to either side of its center.
        if not -0.5 <= value < length - 0.5:
            raise InputError(f'{where}: {axis} is {value:g}; want 0..{length - 1}, in the patch')
    if kind not in range(1, classes + 1):
        raise InputError(f'{where}: label is {kind:g}; want one of 1..{classes}')
    return cell
