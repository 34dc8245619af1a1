"""Pairs to predict, wherever they come from, and what is written of them."""

import csv
import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ocelot_jax.data import images, pair_folder
from ocelot_jax.data.patches import Patches
from ocelot_jax.evaluation import challenge
from ocelot_jax.inference import loop, prefetch
from ocelot_jax.io import atomic
from ocelot_jax.io.errors import InputError, MissingFileError
from ocelot_jax.viz import overlay

Record = dict[str, Any]

_OVERLAYS = 8
# as large as the distance within which the score matches cells
_RADIUS_UM = 3.0


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Pairs to predict.

    Attributes:
        names: of each pair.
        read: gives the number's pair: `cell_image` [H,W,3] and `tissue_image` [h,w,3] uint8,
            `center` [2], `cell_mpp` and `tissue_mpp`.
    """

    names: tuple[str, ...]
    read: Callable[[int], Record]


@dataclasses.dataclass(frozen=True)
class Found:
    """What was found in a pair.

    Attributes:
        name: the pair's.
        mpp: um per pixel of the cell patch.
        points: [n,2] float32, (x, y) in pixels of the cell patch.
        labels: [n] int32, 1..K.
        scores: [n] float32.
        tissue: [h,w] uint8, most likely class of the tissue patch; None without a tissue branch.
        image: [H,W,3] uint8, the cell patch, of the first few pairs; None of the others.
    """

    name: str
    mpp: float
    points: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    tissue: np.ndarray | None
    image: np.ndarray | None


def one_pair(
    cell: Path, tissue: Path, center: Sequence[float], mpps: tuple[float, float]
) -> Pairs:
    """A pair of two images.

    Args:
        cell: image of the cell patch, 8-bit RGB.
        tissue: image of the tissue patch.
        center: relative center (c_x, c_y) of the cell patch in the tissue patch.
        mpps: um per pixel of the cell patch and of the tissue patch.
    """
    record = {
        'cell_image': images.read_rgb(cell),
        'tissue_image': images.read_rgb(tissue),
        'center': np.array(center, np.float32),
        'cell_mpp': np.float32(mpps[0]),
        'tissue_mpp': np.float32(mpps[1]),
    }
    _check_inside(record, f'{tissue}: center {center[0]:g},{center[1]:g}')
    return Pairs((cell.stem,), lambda index: record)


def folder_pairs(path: Path, split: str) -> Pairs:
    """The pairs of a split of a directory or zip in OCELOT's layout; annotations are not read."""
    source = pair_folder.PairFolder(path, annotated=False).as_data_source(split)
    return Pairs(source.pair_ids, source.__getitem__)


def challenge_pairs(folder: Path) -> Pairs:
    """The challenge's stacks: two TIFFs of patches on top of each other, and their metadata.

    Args:
        folder: holds `images/cell_patches/*.tif`, `images/tissue_patches/*.tif`, one file each,
            and `metadata.json`, a list.

    Raises:
        InputError: a file is missing or bad, or they do not fit together.
    """
    paths = {kind: _only_tiff(folder / f'images/{kind}_patches') for kind in ('cell', 'tissue')}
    stacks = {kind: _unstack(images.read_rgb(path), path) for kind, path in paths.items()}
    path = folder / 'metadata.json'
    try:
        metadata = json.loads(path.read_text())
    except FileNotFoundError:
        raise MissingFileError(f'{path}: not there; want a list with a record per pair') from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f'{path}: not JSON ({error})') from None
    if not isinstance(metadata, list):
        raise InputError(f'{path}: holds a {type(metadata).__name__}; want a list')
    counts = {kind: len(stack) for kind, stack in stacks.items()}
    if not counts['cell'] == counts['tissue'] == len(metadata):
        raise InputError(
            f'{folder}: {counts["cell"]} cell patches in {paths["cell"].name}, {counts["tissue"]} '
            f'tissue patches in {paths["tissue"].name} and {len(metadata)} records in '
            f'{path.name}; want as many of each'
        )
    records = []
    for index, entry in enumerate(metadata):
        if not isinstance(entry, dict):
            raise InputError(f'{path}: record {index} is a {type(entry).__name__}; want an object')
        # what no prediction needs may be missing
        known = {'slide_name': '', 'organ': '', **entry, 'subset': 'test'}
        pair = metadata.parse_pair(str(index), known, str(path))
        record = {
            'cell_image': stacks['cell'][index],
            'tissue_image': stacks['tissue'][index],
            'center': np.array(pair.center, np.float32),
            'cell_mpp': np.float32(pair.cell_mpp),
            'tissue_mpp': np.float32(pair.tissue_mpp),
        }
        _check_inside(record, f'{path}: record {index}')
        records.append(record)
    return Pairs(tuple(f'image_{i}' for i in range(len(records))), records.__getitem__)


def predict_pairs(
    pairs: Pairs,
    engine: loop.Engine,
    detect: loop.Detector,
    *,
    batch_size: int,
    large_fov: bool = True,
    maps_tissue: bool = True,
) -> list[Found]:
    """Finds cells and tissue in pairs, whose patches have one size.

    Args:
        pairs: the pairs.
        engine: computes probabilities.
        detect: finds cells in them.
        batch_size: pairs computed at a time.
        large_fov: whether the tissue branch sees the tissue patches, or the cell patches too.
        maps_tissue: whether what the tissue branch says means something.
    """
    first = pairs.read(0)

    def read(index: int) -> dict[str, np.ndarray]:
        record = pairs.read(index)
        for kind in ('cell_image', 'tissue_image'):
            height, width = record[kind].shape[:2]
            if (height, width) != first[kind].shape[:2] or height != width:
                raise InputError(
                    f'pair {pairs.names[index]}: {kind} is {width} x {height} px; want square '
                    f'patches of one size, {len(first[kind])} px'
                )
        if not large_fov:
            record = record | {
                'tissue_image': record['cell_image'],
                'center': np.full(2, 0.5, np.float32),
                'tissue_mpp': record['cell_mpp'],
            }
        names = ('cell_image', 'tissue_image', 'center', 'cell_mpp', 'tissue_mpp')
        return {name: np.asarray(record[name])[None] for name in names}

    results = []
    for indices, batch in prefetch.read_ahead(range(len(pairs.names)), read, batch_size):
        probs, tissue = engine(batch)
        cells = detect(probs)
        tissue = np.asarray(tissue).argmax(-1).astype(np.uint8) if maps_tissue else None
        for row, index in enumerate(indices):
            count = int(cells.count[row])
            results.append(
                Found(
                    name=pairs.names[index],
                    mpp=float(batch['cell_mpp'][row]),
                    points=np.asarray(cells.points[row, :count]),
                    labels=np.asarray(cells.labels[row, :count]),
                    scores=np.asarray(cells.scores[row, :count]),
                    tissue=None if tissue is None else tissue[row],
                    image=batch['cell_image'][row] if index < _OVERLAYS else None,
                )
            )
    return results


def write_pairs(found: Sequence[Found], folder: Path, cell_classes: Sequence[str]) -> None:
    """Writes `predictions.json` (the challenge's format), `cells.csv`, `tissue/` and `overlays/`.

    The tissue's values are those of OCELOT's annotations: 1, 2, ...; overlays are of the first
    few pairs.
    """
    (folder / 'overlays').mkdir(parents=True, exist_ok=True)
    for pair in found:
        if pair.image is not None:
            cells = overlay.Marks(pair.points, pair.labels)
            picture = overlay.draw_found(pair.image, cells, _RADIUS_UM / pair.mpp)
            with atomic.replacing(folder / f'overlays/{pair.name}.png') as path:
                Image.fromarray(picture).save(path)
    if any(pair.tissue is not None for pair in found):
        (folder / 'tissue').mkdir(exist_ok=True)
        for pair in found:
            with atomic.replacing(folder / f'tissue/{pair.name}.png') as path:
                Image.fromarray(pair.tissue + np.uint8(1)).save(path)
    with atomic.replacing(folder / 'cells.csv') as path, path.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['pair', 'x', 'y', 'x_um', 'y_um', 'label', 'class', 'score'])
        for pair in found:
            for (x, y), label, score in zip(pair.points, pair.labels, pair.scores, strict=True):
                place = [f'{x:g}', f'{y:g}', *(f'{(v + 0.5) * pair.mpp:.2f}' for v in (x, y))]
                row = [label, cell_classes[label - 1], f'{score:.4f}']
                writer.writerow([pair.name, *place, *row])
    write_challenge(found, folder / 'predictions.json', cell_classes)


def write_challenge(found: Sequence[Found], path: Path, cell_classes: Sequence[str]) -> None:
    """Writes the cells in the challenge's format."""
    cells = [(pair.points, pair.labels, pair.scores) for pair in found]
    challenge.write(path, cells, num_classes=len(cell_classes))


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
    share = patches.cell_size * patches.cell_mpp / (patches.tissue_size * patches.tissue_mpp)
    slack = 1 / patches.tissue_size  # the release rounds its offsets to about a pixel
    for axis, middle in zip('xy', record['center'], strict=True):
        if not share / 2 - slack <= middle <= 1 - share / 2 + slack:
            raise InputError(
                f'{where}: the cell patch would reach out of the tissue patch along {axis}; want '
                f'a relative center in {share / 2:.4g}..{1 - share / 2:.4g}'
            )
