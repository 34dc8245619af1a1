"""The boxes of `tiger-coco.json`."""

import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ocelot_jax.io.errors import InputError


@dataclasses.dataclass(frozen=True, eq=False)
class Entry:
    """What the file says of one image.

    Attributes:
        size: (width, height), pixels; None where it does not tell.
        boxes: [n, 4] float64 (x, y, width, height), pixels of the image.
    """

    size: tuple[int, int] | None
    boxes: np.ndarray


def read(path: pathlib.Path) -> dict[str, Entry]:
    """Reads what is said of each image.

    Args:
        path: the COCO file.

    Returns:
        The entries by the names of the images, without the folders that precede them there.

    Raises:
        InputError: with one line that names the file, the entry and what is wrong with it.
    """
    try:
        content = json.loads(path.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f'{path}: not JSON ({error})') from None
    images, annotations = (_objects(content, key, path) for key in ('images', 'annotations'))
    names, sizes = {}, {}
    for index, image in enumerate(images):
        where = f'{path}: images[{index}]'
        image_id = _field(image, 'id', int, where)
        name = _field(image, 'file_name', str, where).replace('\\', '/').rpartition('/')[2]
        if image_id in names or name in sizes:
            raise InputError(f'{where}: {name}, id {image_id}, is there twice; want each once')
        names[image_id] = name
        sizes[name] = _size(image, where)
    boxes = _boxes_by_name(annotations, names, path)
    return {name: Entry(size, boxes[name]) for name, size in sizes.items()}


def _boxes_by_name(
    annotations: Sequence[Mapping[str, Any]], names: Mapping[int, str], path: pathlib.Path
) -> dict[str, np.ndarray]:
    boxes: dict[str, list[list[float]]] = {name: [] for name in names.values()}
    for index, annotation in enumerate(annotations):
        where = f'{path}: annotations[{index}]'
        image_id = _field(annotation, 'image_id', int, where)
        if image_id not in names:
            raise InputError(f"{where}: 'image_id' is {image_id}; want the id of an image")
        boxes[names[image_id]].append(_box(annotation, where))
    categories = {str(annotation.get('category_id')) for annotation in annotations}
    if len(categories) > 1:
        found = ', '.join(sorted(categories))
        raise InputError(f'{path}: boxes of categories {found}; want one, of lymphocytes')
    return {name: np.array(own, np.float64).reshape(-1, 4) for name, own in boxes.items()}


def _objects(content: Any, key: str, path: pathlib.Path) -> list[Mapping[str, Any]]:
    value = content.get(key) if isinstance(content, dict) else None
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise InputError(f"{path}: '{key}' is missing or no list of objects; want COCO's format")
    return value


def _field(entry: Mapping[str, Any], key: str, kind: type, where: str) -> Any:
    value = entry.get(key)
    if not isinstance(value, kind):
        found = 'missing' if value is None else repr(value)
        raise InputError(f"{where}: '{key}' is {found}; want {kind.__name__}")
    return value


def _size(image: Mapping[str, Any], where: str) -> tuple[int, int] | None:
    if 'width' not in image and 'height' not in image:
        return None
    return _field(image, 'width', int, where), _field(image, 'height', int, where)


def _box(annotation: Mapping[str, Any], where: str) -> list[float]:
    box = _field(annotation, 'bbox', list, where)
    finite = [v for v in box if isinstance(v, int | float) and math.isfinite(v)]
    if len(box) != 4 or len(finite) != 4 or min(box[2:]) < 0:
        raise InputError(f"{where}: 'bbox' is {box}; want x, y and a width, height of 0 or more")
    return box
