"""What `metadata.json` of a data set in OCELOT's layout says of each pair."""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

from ocelot_jax.data.release import METADATA, Files, split_name
from ocelot_jax.io.errors import InputError

# Scanners' pixels are square to about a percent; beyond this the two are not of one slide.
_MAX_MPP_RATIO = 1.1


@dataclasses.dataclass(frozen=True)
class Pair:
    """What `metadata.json` says of one pair of patches.

    Attributes:
        pair_id: the pair's key, such as '001'.
        split: 'train', 'validation' or 'test'.
        slide_name: the slide that both patches are from.
        organ: the organ.
        center: relative center (c_x, c_y) of the cell patch in the tissue patch.
        cell_mpp: micrometres per pixel of the cell patch as stored.
        tissue_mpp: micrometres per pixel of the tissue patch as stored.
    """

    pair_id: str
    split: str
    slide_name: str
    organ: str
    center: tuple[float, float]
    cell_mpp: float
    tissue_mpp: float


def read_metadata(files: Files) -> Mapping[str, Mapping[str, Any]]:
    """Reads the entries of `metadata.json`, by pair id, as they stand there.

    Raises:
        InputError: if the file is no JSON or holds no 'sample_pairs' of the release's form.
    """
    label = files.label(METADATA)
    try:
        content = json.loads(files.read(METADATA))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f'{label}: not JSON ({error})') from None
    entries = content.get('sample_pairs') if isinstance(content, dict) else None
    if not isinstance(entries, dict):
        raise InputError(f"{label}: field 'sample_pairs' is missing; want an object, id -> entry")
    return entries


def parse_pair(pair_id: str, entry: Mapping[str, Any], label: str) -> Pair:
    """Reads one entry of `metadata.json`, checked field by field; errors name the file `label`.

    Raises:
        InputError: naming the file, the pair and the field that is missing or wrong.
    """
    where = f'{label}: pair {pair_id}'
    for field in ('slide_name', 'organ', 'subset'):
        _field(entry, field, str, where)
    if not entry['slide_name']:
        raise InputError(
            f"{where}: 'slide_name' is empty; want one, by which slides are told apart"
        )
    try:
        split = split_name(entry['subset'])
    except InputError:
        raise InputError(
            f"{where}: 'subset' is {entry['subset']!r}; want train, val or test"
        ) from None
    if 'mpp_x' in entry:
        _mpp(entry, '', where)
    patches = {name: _field(entry, name, dict, where) for name in ('cell', 'tissue')}
    mpps = [_mpp(patch, 'resized_', f'{where}: {name}') for name, patch in patches.items()]
    center = tuple(_field(entry, f'patch_{axis}_offset', float, where) for axis in 'xy')
    return Pair(pair_id, split, entry['slide_name'], entry['organ'], center, *mpps)


def _field(entry: Mapping[str, Any], name: str, kind: type, where: str) -> Any:
    """Gets a field of a wanted type; numbers must be finite and come back as floats."""
    value = entry.get(name) if isinstance(entry, Mapping) else None
    words = {str: 'a text', float: 'a finite number', dict: 'an object'}
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        if math.isfinite(value):
            return float(value)
    elif isinstance(value, kind):
        return value
    found = 'missing' if value is None else repr(value)
    raise InputError(f"{where}: '{name}' is {found}; want {words[kind]}")


def _mpp(entry: Mapping[str, Any], prefix: str, where: str) -> float:
    """Gets micrometres per pixel along x; both axes must be positive and alike."""
    names = [f'{prefix}mpp_x', f'{prefix}mpp_y']
    x, y = (_field(entry, name, float, where) for name in names)
    for name, value in zip(names, (x, y), strict=True):
        if value <= 0:
            raise InputError(f"{where}: '{name}' is {value:g}; want more than 0 um per pixel")
    if max(x, y) > _MAX_MPP_RATIO * min(x, y):
        raise InputError(
            f"{where}: '{names[0]}' is {x:g} but '{names[1]}' is {y:g}; want square pixels"
        )
    return x
