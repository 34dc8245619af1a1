"""Whether every file of a split is whole and fits the others."""

import collections
import concurrent.futures
import functools
import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ocelot_jax.datasets import release

if TYPE_CHECKING:
    from ocelot_jax.datasets.pair_folder import PairFolder

_IMAGES = ('cell_image', 'tissue_image')


def raise_first(problems: Mapping[str, str]):
    """Raise ValueError with the first problem by sorted key, and how many more there are."""
    if not problems:
        return
    more = f' ({len(problems) - 1} more files or entries are bad)' if len(problems) > 1 else ''
    raise ValueError(problems[min(problems)] + more)


def split_problems(
    folder: 'PairFolder', split: str, pair_ids: Sequence[str], pairs: Sequence[release.Pair]
) -> dict[str, str]:
    """Read every file of a split and tell what is wrong with them.

    Args:
        folder: the data set.
        split: 'train', 'validation' or 'test'.
        pair_ids: ids of all the split's pairs, those without good metadata too.
        pairs: the pairs whose metadata are good.

    Returns:
        One line by the name of each bad file, or of its entry in the metadata. Files that are
        missing altogether are left to the listing.

    """
    known = {pair.pair_id: pair for pair in pairs}
    check = functools.partial(_check_pair, folder, split)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        checked = list(pool.map(check, pair_ids, map(known.get, pair_ids)))
    problems = {}
    for found, _ in checked:
        problems |= found
    for kind in _IMAGES:
        sizes = {
            release.pair_files(split, pair_id)[kind]: found_sizes[kind]
            for pair_id, (_, found_sizes) in zip(pair_ids, checked, strict=True)
            if kind in found_sizes
        }
        problems |= _size_problems(folder, sizes)
    return problems


def _check_pair(
    folder: 'PairFolder', split: str, pair_id: str, pair: release.Pair | None
) -> tuple[dict[str, str], dict[str, tuple[int, int]]]:
    """Tell a pair's problems by file, and the (width, height) of its images that decode."""
    names = release.pair_files(split, pair_id)
    problems, sizes = {}, {}

    def decode(kind, size=None):
        if not folder.holds(names[kind], split):
            return None
        try:
            return folder.decode(kind, split, pair_id, size)
        except ValueError as error:
            problems[names[kind]] = str(error)
            return None

    for kind in (*_IMAGES, 'tissue_mask'):
        array = decode(kind)
        if array is not None:
            sizes[kind] = array.shape[1::-1]
    decode('cells', sizes.get('cell_image', (math.inf, math.inf)))
    mask, tissue = sizes.get('tissue_mask'), sizes.get('tissue_image')
    if mask and tissue and mask != tissue:
        problems[names['tissue_mask']] = (
            f'{folder.files.label(names["tissue_mask"])}: size is {_text(mask)}; '
            f'want {_text(tissue)}, as its tissue image'
        )
    if pair and set(_IMAGES) <= set(sizes):
        problems |= _center_problem(folder, pair, sizes)
    return problems, sizes


def _center_problem(
    folder: 'PairFolder', pair: release.Pair, sizes: Mapping[str, tuple[int, int]]
) -> dict[str, str]:
    """Tell where the cell patch would reach out of the tissue patch."""
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


def _size_problems(folder: 'PairFolder', sizes: Mapping[str, tuple[int, int]]) -> dict[str, str]:
    """Find the files of one kind whose size is not that of most."""
    if not sizes:
        return {}
    usual = collections.Counter(sizes.values()).most_common(1)[0][0]
    return {
        name: f'{folder.files.label(name)}: size is {_text(size)}; '
        f"want {_text(usual)}, as the split's other patches"
        for name, size in sizes.items()
        if size != usual
    }


def _text(size: tuple[int, int]) -> str:
    return f'{size[0]} x {size[1]}'
