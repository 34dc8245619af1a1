"""Pairs to predict: two images, data in OCELOT's layout, or the challenge's stacks."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from ocelot_jax.data import images, metadata, pair_folder, release
from ocelot_jax.data.patches import Patches
from ocelot_jax.io.errors import InputError, MissingFileError
from ocelot_jax.slides import readers

Record = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Pairs to predict, read one at a time.

    Attributes:
        source: where they come from, for errors.
        names: of each pair.
        cell_mpps: um/px of each pair's cell patch.
        tissue_mpps: um/px of each pair's tissue patch.
        read: from a pair's number to its `cell_image` [H,W,3] and `tissue_image` [h,w,3] uint8,
            `center` [2] float32, `cell_mpp` and `tissue_mpp`.
    """

    source: Path
    names: tuple[str, ...]
    cell_mpps: tuple[float, ...]
    tissue_mpps: tuple[float, ...]
    read: Callable[[int], Record]


def one_pair(
    cell: Path, tissue: Path, center: Sequence[float], mpps: tuple[float, float]
) -> Pairs:
    """A pair of two images.

    Args:
        cell: image of the cell patch, 8-bit RGB.
        tissue: image of the tissue patch.
        center: relative center (c_x, c_y) of the cell patch in the tissue patch.
        mpps: um per pixel of the cell patch and of the tissue patch.

    Raises:
        MissingFileError: there is no such file.
        InputError: a file is no 8-bit RGB image, or the center is wrong.
    """
    return _only(
        cell, _record(images.read_rgb(cell), images.read_rgb(tissue), center, *mpps), tissue
    )


def pair_of_arrays(
    cell: np.ndarray, tissue: np.ndarray, center: Sequence[float], mpps: tuple[float, float]
) -> Pairs:
    """A pair of two images in memory.

    Args:
        cell: [H,W,3] uint8, the cell patch.
        tissue: [h,w,3] uint8, the tissue patch.
        center: see `one_pair`.
        mpps: see `one_pair`.

    Raises:
        InputError: an image is no 8-bit RGB, or the center is wrong.
    """
    for name, image in (('cell_image', cell), ('tissue_image', tissue)):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise InputError(
                f'{name}: is {image.dtype}{list(image.shape)}; want uint8[H, W, 3], RGB'
            )
    return _only(Path('pair'), _record(cell, tissue, center, *mpps), 'tissue_image')


def _only(source: Path, record: Record, told: object) -> Pairs:
    x, y = record['center']
    _check_inside(record, f'{told}: center {x:g},{y:g}')
    return Pairs(source, (source.stem,), *_mpps([record]), lambda index: record)


def is_pair_folder(source: Path) -> bool:
    """Whether a zip, or a directory and not slides, is in OCELOT's layout.

    The layout may be in one folder within, as zips have it, unless slides lie beside that: other
    programs, too, write a `metadata.json`. Where a directory holds both, a warning says which of
    them is left out.
    """
    if not source.is_dir():
        return source.suffix == '.zip'
    slides = [p.name for p in source.iterdir() if readers.is_slide(p)]
    within = sorted(path.parent for path in source.glob(f'*/{release.METADATA}'))
    inner = [folder for folder in within if _holds_patches(folder)]
    if not slides:
        return _holds_patches(source) or (source / release.METADATA).exists() or bool(inner)
    pairs = _holds_patches(source) and (source / release.METADATA).exists()
    told = '%s: is taken for %s; left out is %s; give that alone as --input if it is what you mean'
    if pairs:
        logging.warning(told, source, "pairs in OCELOT's layout", f'{slides[0]}, a slide beside')
    elif inner:
        logging.warning(told, source, 'slides', f"{inner[0].name}, pairs in OCELOT's layout")
    return pairs


def _holds_patches(root: Path) -> bool:
    return any((root / f'images/{split}').is_dir() for split in release.SPLIT_FOLDERS.values())


def folder_pairs(path: Path, split: str) -> Pairs:
    """The pairs of a split of a directory or zip in OCELOT's layout; annotations are not read."""
    source = pair_folder.PairFolder(path, annotated=False).as_data_source(split)
    cell_mpps, tissue_mpps = zip(*((p.cell_mpp, p.tissue_mpp) for p in source.pairs), strict=True)
    return Pairs(path, source.pair_ids, cell_mpps, tissue_mpps, source.__getitem__)


def is_challenge(source: Path) -> bool:
    """Whether a directory holds the challenge's stacks."""
    return (source / 'images/cell_patches').is_dir()


def challenge_pairs(folder: Path) -> Pairs:
    """The challenge's stacks: two TIFFs of patches on top of each other, and their metadata.

    Args:
        folder: holds `images/cell_patches/*.tif`, `images/tissue_patches/*.tif`, one file each,
            and `metadata.json`, a list.

    Raises:
        MissingFileError: there are no metadata.
        InputError: a file is missing or bad, or they do not fit together.
    """
    paths = {kind: _only_tiff(folder / f'images/{kind}_patches') for kind in ('cell', 'tissue')}
    stacks = {kind: _unstack(images.read_rgb(path), path) for kind, path in paths.items()}
    path = folder / 'metadata.json'
    entries = _read_metadata(path)
    counts = {kind: len(stack) for kind, stack in stacks.items()}
    if not counts['cell'] == counts['tissue'] == len(entries):
        raise InputError(
            f'{folder}: {counts["cell"]} cell patches in {paths["cell"].name}, {counts["tissue"]} '
            f'tissue patches in {paths["tissue"].name} and {len(entries)} records in '
            f'{path.name}; want as many of each'
        )
    records = []
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise InputError(f'{path}: record {index} is a {type(entry).__name__}; want an object')
        # slide and organ may be missing, for no prediction needs them
        known = {'organ': '', **entry, 'slide_name': 'unknown', 'subset': 'test'}
        pair = metadata.parse_pair(str(index), known, str(path))
        patches = stacks['cell'][index], stacks['tissue'][index]
        record = _record(*patches, pair.center, pair.cell_mpp, pair.tissue_mpp)
        _check_inside(record, f'{path}: record {index}')
        records.append(record)
    names = tuple(f'image_{i}' for i in range(len(records)))
    return Pairs(folder, names, *_mpps(records), records.__getitem__)


def _mpps(records: Sequence[Record]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Gives um/px of all cell patches, and of all tissue patches."""
    cell, tissue = (
        tuple(float(record[name]) for record in records) for name in ('cell_mpp', 'tissue_mpp')
    )
    return cell, tissue


def _record(
    cell: np.ndarray,
    tissue: np.ndarray,
    center: Sequence[float],
    cell_mpp: float,
    tissue_mpp: float,
) -> Record:
    return {
        'cell_image': cell,
        'tissue_image': tissue,
        'center': np.array(center, np.float32),
        'cell_mpp': np.float32(cell_mpp),
        'tissue_mpp': np.float32(tissue_mpp),
    }


def _read_metadata(path: Path) -> list[Any]:
    try:
        entries = json.loads(path.read_text())
    except FileNotFoundError:
        raise MissingFileError(f'{path}: not there; want a list with a record per pair') from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f'{path}: not JSON ({error})') from None
    if not isinstance(entries, list):
        raise InputError(f'{path}: holds a {type(entries).__name__}; want a list')
    return entries


def _only_tiff(folder: Path) -> Path:
    found = sorted(p for p in folder.glob('*') if p.suffix.lower() in ('.tif', '.tiff'))
    if len(found) != 1:
        raise InputError(f'{folder}: holds {len(found)} TIFF files; want one, a stack of patches')
    return found[0]


def _unstack(stack: np.ndarray, path: Path) -> np.ndarray:
    """[N*W,W,3] to [N,W,W,3]."""
    height, width = stack.shape[:2]
    if height % width:
        raise InputError(
            f'{path}: is {width} x {height} px; want square patches on top of each other, '
            f'so {width} px wide and a multiple of that high'
        )
    return stack.reshape(-1, width, width, 3)


def _check_inside(record: Record, where: str) -> None:
    patches = Patches.of(record)
    cell, tissue = patches.sides_um
    share = cell / tissue
    slack = 1 / patches.tissue_size  # the release rounds its offsets to about a pixel
    if share > 1 + 2 * slack:
        raise InputError(
            f'{where}: the cell patch has {cell:g} um a side, the tissue patch {tissue:g}; want '
            'the tissue patch as wide or wider'
        )
    for axis, middle in zip('xy', record['center'], strict=True):
        if not share / 2 - slack <= middle <= 1 - share / 2 + slack:
            raise InputError(
                f'{where}: the cell patch would reach out of the tissue patch along {axis}; want '
                f'a relative center in {share / 2:.4g}..{1 - share / 2:.4g}'
            )
