"""Cells in the JSON format of the OCELOT 2023 challenge (grand-challenge "Multiple points")."""

import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ocelot_jax.io import atomic
from ocelot_jax.io.errors import InputError, MissingFileError
from ocelot_jax.metrics.cells import Cells

_TYPE = 'Multiple points'
_NAME = re.compile(r'image_([0-9]{1,9})')


def read(path: str | os.PathLike[str], *, num_images: int, num_classes: int) -> list[Cells]:
    """Reads and checks predictions, JSON, for so many patches, from image_0, and labels from 1.

    Returns:
        The cells of each patch in file order; points float64, in pixels of the cell patch.

    Raises:
        MissingFileError: there is no such file.
        InputError: the file is not as the challenge wants it; one line says where.
    """
    path = Path(path)
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise MissingFileError(f'{path}: no such file; want a file of predictions') from None
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({error.strerror})') from None
    except (ValueError, RecursionError) as error:
        reason = ' '.join(str(error).split())
        raise InputError(f'{path}: not JSON ({reason})') from None
    return _parse(document, str(path), num_images, num_classes)


def write(path: str | os.PathLike[str], images: Iterable[Cells], *, num_classes: int) -> None:
    """Writes predictions; coordinates are rounded to whole pixels, as the challenge wants them.

    The file appears whole or not at all; its folder must exist. The patches are sorted by pair
    id; points are in pixels, labels 1..`num_classes`.

    Raises:
        InputError: a point, label or score is not as the challenge wants it.
    """
    entries, num_images = [], 0
    for num_images, cells in enumerate(images, 1):
        name = f'image_{num_images - 1}'
        if not np.isfinite(cells.points).all():
            raise InputError(f'{path}: {name} has a point at NaN or infinity; want pixels')
        whole = np.rint(cells.points).astype(np.int64).reshape(-1, 2).tolist()
        labels = np.asarray(cells.labels).tolist()
        for point, label, score in zip(whole, labels, cells.scores, strict=True):
            # The shortest decimal of a float32 reads better than its float64 neighbour's.
            probability = float(str(score))
            entries.append({'name': name, 'point': [*point, label], 'probability': probability})
    document = {'type': _TYPE, 'points': entries, 'version': {'major': 1, 'minor': 0}}
    _parse(document, str(path), num_images, num_classes)
    atomic.write_text(path, json.dumps(document))


def _parse(document: Any, where: str, num_images: int, num_classes: int) -> list[Cells]:
    if not isinstance(document, Mapping):
        raise InputError(f'{where}: holds {_show(document)}; want an object with "points"')
    _check(document.get('type') == _TYPE, document, 'type', where, f'"{_TYPE}"')
    version = document.get('version')
    first = isinstance(version, Mapping) and version.get('major') == 1
    _check(first, document, 'version', where, '{"major": 1, "minor": 0}')
    _check(isinstance(document.get('points'), list), document, 'points', where, 'a list')
    rows = [
        _parse_point(entry, f'{where}: points[{number}]', num_images, num_classes)
        for number, entry in enumerate(document['points'])
    ]
    images, x, y, labels, scores = zip(*rows, strict=True) if rows else ((),) * 5
    cells = Cells(
        np.array([x, y], np.float64).T.reshape(-1, 2),
        np.array(labels, np.int64),
        np.array(scores, np.float64),
    )
    held = np.array(images, np.int64)
    return [cells[held == index] for index in range(num_images)]


def _parse_point(
    entry: Any, where: str, num_images: int, num_classes: int
) -> tuple[int, float, float, int, float]:
    if not isinstance(entry, Mapping):
        raise InputError(
            f'{where} is {_show(entry)}; want an object with "name", "point" and "probability"'
        )
    fields: dict[str, Any] = {name: entry.get(name) for name in ('name', 'point', 'probability')}
    name, point, score = fields.values()
    found = _NAME.fullmatch(name) if isinstance(name, str) else None
    image = int(found[1]) if found else num_images
    _check(image < num_images, entry, 'name', where, f'image_0 to image_{num_images - 1}')
    good = isinstance(point, list) and len(point) == 3 and all(map(_is_number, point))
    _check(good, entry, 'point', where, '[x, y, label], finite numbers')
    x, y, label = point
    if label not in range(1, num_classes + 1):
        raise InputError(f'{where}: label in "point" is {_show(label)}; want 1 to {num_classes}')
    share = _is_number(score) and 0 <= score <= 1
    _check(share, entry, 'probability', where, 'a number in 0 to 1')
    return image, float(x), float(y), int(label), float(score)


def _check(good: bool, entry: Mapping[str, Any], name: str, where: str, wanted: str) -> None:
    if not good:
        found = _show(entry[name]) if name in entry else 'missing'
        raise InputError(f'{where}: "{name}" is {found}; want {wanted}')


def _is_number(value: Any) -> bool:
    """Whether a JSON value is a number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _show(value: Any) -> str:
    """Shows a JSON value in an error, cut short."""
    text = json.dumps(value) if not isinstance(value, list | Mapping) else str(value)
    return text if len(text) <= 60 else text[:57] + '...'
