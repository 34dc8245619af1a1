"""Whether every file of a split is whole and fits the others."""

import collections
import concurrent.futures
import functools
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ocelot_jax.data import metadata, release
from ocelot_jax.io.errors import InputError

if TYPE_CHECKING:
    from ocelot_jax.data.pair_folder import PairFolder

Size = tuple[int, int]  # (width, height)

_IMAGES = ('cell_image', 'tissue_image')


def raise_first(problems: Mapping[str, str]) -> None:
    """Raises InputError with the first problem by sorted key, and how many more there are."""
    if not problems:
        return
    others = len(problems) - 1
    more = f' (and {others} more {"is" if others == 1 else "are"} bad)' if others else ''
    raise InputError(problems[min(problems)] + more)


def split_problems(
    folder: 'PairFolder', split: str, pair_ids: Sequence[str], pairs: Sequence[metadata.Pair]
) -> dict[str, str]:
    """Reads every file of a split and tells what is wrong with them.

    Args:
        folder: the data set.
        split: 'train', 'validation' or 'test'.
        pair_ids: ids of all the split's pairs, those without good metadata too.
        pairs: the pairs whose metadata are good.

    Returns:
        One line by the name of each bad file, or of its entry in the metadata. Files that are
        missing altogether are left to the listing.
    """
    problems = {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        measured = list(pool.map(functools.partial(_measure, folder, split), pair_ids))
        usual = {kind: _most_common(size[kind] for _, size in measured) for kind in _IMAGES}
        check = functools.partial(_check_annotations, folder, split, usual)
        sizes = [size for _, size in measured]
        for (found, _), others in zip(measured, pool.map(check, pair_ids, sizes), strict=True):
            problems |= found | others
    by_id = dict(zip(pair_ids, sizes, strict=True))
    for pair in pairs:
        if all(by_id[pair.pair_id].values()) and by_id[pair.pair_id] == usual:
            problems |= _center_problem(folder, pair, usual)
    return problems


def _most_common(sizes: Iterable[Size | None]) -> Size | None:
    counted = collections.Counter(size for size in sizes if size).most_common(1)
    return counted[0][0] if counted else None


def _decode(
    folder: 'PairFolder', kind: str, split: str, pair_id: str, size: Size | None = None
) -> Any:
    """Decodes a file; None if it is missing, which the listing tells already."""
    name = release.pair_files(split, pair_id)[kind]
    return folder.decode(kind, split, pair_id, size) if folder.holds(name, split) else None


def _measure(
    folder: 'PairFolder', split: str, pair_id: str
) -> tuple[dict[str, str], dict[str, Size | None]]:
    """Tells which color images of a pair are bad, and the sizes of the others."""
    problems, sizes = {}, dict.fromkeys(_IMAGES)
    for kind in _IMAGES:
        try:
            image = _decode(folder, kind, split, pair_id)
            sizes[kind] = image if image is None else image.shape[1::-1]
        except InputError as error:
            problems[release.pair_files(split, pair_id)[kind]] = str(error)
    return problems, sizes


def _check_annotations(
    folder: 'PairFolder',
    split: str,
    usual: Mapping[str, Size | None],
    pair_id: str,
    sizes: Mapping[str, Size | None],
) -> dict[str, str]:
    """Tells what is wrong with a pair's sizes and annotations.

    An image of an unusual size is bad itself; its annotations are not blamed for it.
    """
    names, problems = release.pair_files(split, pair_id), {}

    def blame(kind: str, found: Size, wanted: Size, whose: str) -> None:
        label = folder.files.label(names[kind])
        problems[names[kind]] = (
            f'{label}: size is {_text(found)}; want {_text(wanted)}, as {whose}'
        )

    for kind in _IMAGES:
        if sizes[kind] not in (None, usual[kind]):
            blame(kind, sizes[kind], usual[kind], "the split's other patches")
    try:
        _decode(folder, 'cells', split, pair_id, usual['cell_image'] or (math.inf, math.inf))
    except InputError as error:
        problems[names['cells']] = str(error)
    try:
        mask = _decode(folder, 'tissue_mask', split, pair_id)
        size, tissue = sizes['tissue_image'], usual['tissue_image']
        if mask is not None and size and size == tissue != mask.shape[1::-1]:
            blame('tissue_mask', mask.shape[1::-1], tissue, 'its tissue image')
    except InputError as error:
        problems[names['tissue_mask']] = str(error)
    return problems


def _center_problem(
    folder: 'PairFolder', pair: metadata.Pair, sizes: Mapping[str, Size]
) -> dict[str, str]:
    """Tells where the cell patch would reach out of the tissue patch."""
    where = f'{folder.files.label(release.METADATA)}: pair {pair.pair_id}'
    cell, tissue = (sizes[kind] for kind in _IMAGES)
    for axis, center, cell_length, length in zip('xy', pair.center, cell, tissue, strict=True):
        # Lengths in pixels of the tissue patch; the release rounds its offsets to about one.
        extent = cell_length * pair.cell_mpp / pair.tissue_mpp
        start, end = length * center - extent / 2, length * center + extent / 2
        if start < -1 or end > length + 1:
            return {
                f'{release.METADATA}/{pair.pair_id}': (
                    f"{where}: 'patch_{axis}_offset' is {center:g}, which puts the cell patch at "
                    f'{start:.1f}..{end:.1f} of the tissue patch; want it within 0..{length}'
                )
            }
    return {}


def _text(size: Size) -> str:
    return f'{size[0]} x {size[1]}'
