"""The files of pairs in OCELOT's layout, in a folder or a zip that appears whole or not at all."""

import contextlib
import csv
import dataclasses
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ocelot_jax.annotation.planning import Place
from ocelot_jax.data import release
from ocelot_jax.data.patches import Patches
from ocelot_jax.io import atomic
from ocelot_jax.io.errors import InputError

ORIGINS = 'cells.csv'
RECORD = 'pairs.json'
PICTURE = 'pictures/first_pairs.png'

ORIGIN_COLUMNS = ('pair', 'slide', 'id', 'class', 'x_px', 'y_px', 'x', 'y')

# Writes bytes under a name relative to the root.
Write = Callable[[str, bytes], None]

# Bytes must not depend on the day; a zip knows none before.
_DATE = (1980, 1, 1, 0, 0, 0)
_MODE = 0o644 << 16


@dataclasses.dataclass(frozen=True)
class Pair:
    """A pair of patches, cut.

    Attributes:
        pair_id: names its files.
        split: 'train', 'validation' or 'test'.
        cell_image: [H,W,3] uint8.
        tissue_image: [h,w,3] uint8.
        tissue_mask: [h,w] uint8, classes from 1, 255 unknown.
        points: [n,2] cells, (x, y) in pixels of the cell patch, centers at integers.
        labels: [n] integers, classes from 1.
    """

    pair_id: str
    split: str
    cell_image: np.ndarray
    tissue_image: np.ndarray
    tissue_mask: np.ndarray
    points: np.ndarray
    labels: np.ndarray


def is_zip(output: Path) -> bool:
    """Whether an output is to be a zip, by its suffix."""
    return output.suffix.lower() == '.zip'


def check_free(output: Path) -> None:
    """Refuses an output where something is.

    Raises:
        InputError: there is a file, or a folder that is not empty.
    """
    if output.exists() and (is_zip(output) or not output.is_dir() or any(output.iterdir())):
        raise InputError(f'{output}: is there; want a new --output, or that removed')


@contextlib.contextmanager
def opened(output: Path) -> Iterator[Write]:
    """Opens a folder or a zip to write; it takes its name when the block ends well.

    Args:
        output: a folder, or a zip by its suffix; the folder above it must exist.

    Yields:
        What writes a file.
    """
    if not is_zip(output):
        with atomic.replacing_folder(output) as folder:
            yield lambda name, data: _write_file(folder / name, data)
        return
    with atomic.replacing(output) as temporary, zipfile.ZipFile(temporary, 'w') as archive:
        yield lambda name, data: _write_member(archive, name, data)


def write_pair(write: Write, pair: Pair) -> None:
    """Writes the four files of a pair.

    Images are PNG: slides hold JPEG mostly, and to press them once more would blur what the
    network is to see on slides unblurred.
    """
    for kind in ('cell_image', 'tissue_image', 'tissue_mask'):
        name = f'{release.kind_folder(kind, pair.split)}/{pair.pair_id}.png'
        write(name, encode_png(getattr(pair, kind)))
    rows = zip(pair.points.tolist(), pair.labels.tolist(), strict=True)
    text = ''.join(f'{x:.2f},{y:.2f},{label}\n' for (x, y), label in rows)
    write(release.usual_name('cells', pair.split, pair.pair_id), text.encode())


def write_origins(write: Write, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes where each cell comes from: a row for each, in the order of the pairs' files."""
    text = io.StringIO(newline='')
    writer = csv.DictWriter(text, ORIGIN_COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    write(ORIGINS, text.getvalue().encode())


def write_json(write: Write, name: str, value: Any) -> None:
    """Writes a JSON file for people to read, too."""
    write(name, (json.dumps(value, indent=2, ensure_ascii=False) + '\n').encode())


def metadata_entry(
    slide: str, organ: str, split: str, mpp: float, place: Place, patches: Patches
) -> dict[str, Any]:
    """What `metadata.json` says of a pair.

    Args:
        slide: its name.
        organ: its organ.
        split: 'train', 'validation' or 'test'.
        mpp: micrometres per pixel of the slide at full resolution.
        place: where the pair lies.
        patches: sizes of the patches.

    Returns:
        The entry, as `data.metadata.parse_pair` wants it; boxes are in level-0 pixels.
    """
    center = place.center(patches)
    return {
        'slide_name': slide,
        'organ': organ,
        'subset': release.SPLIT_FOLDERS[split],
        'mpp_x': mpp,
        'mpp_y': mpp,
        'patch_x_offset': center[0],
        'patch_y_offset': center[1],
        'cell': _box(place.cell, patches.cell_size, patches.cell_mpp, mpp),
        'tissue': _box(place.tissue, patches.tissue_size, patches.tissue_mpp, mpp),
    }


def _box(corner: tuple[int, int], size: int, patch_mpp: float, mpp: float) -> dict[str, float]:
    edges = {}
    for axis, start in zip('xy', corner, strict=True):
        edges[f'{axis}_start'] = round(start * patch_mpp / mpp, 4)
        edges[f'{axis}_end'] = round((start + size) * patch_mpp / mpp, 4)
    return edges | {'resized_mpp_x': patch_mpp, 'resized_mpp_y': patch_mpp}


def encode_png(image: np.ndarray) -> bytes:
    """Encodes [h,w] or [h,w,3] uint8 as PNG."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, 'PNG')
    return file.getvalue()


def _write_file(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _write_member(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    member = zipfile.ZipInfo(name, _DATE)
    member.external_attr = _MODE
    # PNG is pressed as it is
    is_png = name.endswith('.png')
    archive.writestr(member, data, zipfile.ZIP_STORED if is_png else zipfile.ZIP_DEFLATED)
