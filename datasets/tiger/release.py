"""TIGER's regions of interest as they lie on disk: which there are and whether they are whole.

    tissue-bcss/{images,masks}/NAME_[x1, y1, x2, y2].png     large regions of TCGA's slides
    tissue-cells/{images,masks}/NAME_[x1, y1, x2, y2].png    regions whose cells are annotated
    tissue-cells/tiger-coco.json                             boxes around those cells

The bracket is the region's place on its slide, in pixels.
"""

import contextlib
import dataclasses
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from ocelot_jax.datasets.tiger import coco, geometry

from ocelot_jax.data import images, validation
from ocelot_jax.io import digests
from ocelot_jax.io.errors import InputError

REGIONS, CELLS = 'tissue-bcss', 'tissue-cells'
COCO = f'{CELLS}/tiger-coco.json'

_NAME = re.compile(r'(.+)_\[(\d+), ?(\d+), ?(\d+), ?(\d+)\]\.png')
_Size = tuple[int, int]  # (width, height)
_NO_BOXES = np.empty((0, 4))


@dataclasses.dataclass(frozen=True, eq=False)
class Roi:
    """An annotated region of a slide.

    Attributes:
        folder: 'tissue-bcss' or 'tissue-cells'.
        name: the file's name, the same for image and mask.
        slide: name of the slide.
        corner: (x, y) of the upper left corner, pixels of the slide.
        size: (width, height), pixels.
        boxes: [n, 4] float64 (x, y, width, height) around the cells, pixels of the region; none
            in 'tissue-bcss'.
    """

    folder: str
    name: str
    slide: str
    corner: tuple[int, int]
    size: _Size
    boxes: np.ndarray

    @property
    def image(self) -> str:
        """Path of the image, relative to the root."""
        return f'{self.folder}/images/{self.name}'

    @property
    def mask(self) -> str:
        """Path of the mask, relative to the root."""
        return f'{self.folder}/masks/{self.name}'

    @property
    def is_tcga(self) -> bool:
        """Whether the slide is one of TCGA's, whose cells and tissue are annotated apart."""
        return self.slide.startswith('TCGA-')


def find_root(folder: pathlib.Path) -> pathlib.Path | None:
    """Finds the folder of `tissue-cells/tiger-coco.json`, at most four folders down.

    Args:
        folder: where to look.

    Returns:
        The folder that is nearest to the top, first by name among equals; None if there is none.
    """
    for depth in range(5):
        if found := sorted(folder.glob(f'{"*/" * depth}{COCO}')):
            return found[0].parents[1]
    return None


def read_rois(root: pathlib.Path) -> list[Roi]:
    """Lists the regions after having read every file, one at a time.

    Args:
        root: the folder in which `tissue-bcss` and `tissue-cells` lie.

    Returns:
        The regions of both folders, in the order of their names.

    Raises:
        InputError: with one line that names the first bad file (in sorted order), what was found
            there and what is wanted, and how many more are bad.
    """
    entries = coco.read(root / COCO)
    listed = {folder: _list(root, folder) for folder in (REGIONS, CELLS)}
    rois, problems = [], {}
    for folder, names in listed.items():
        for name in sorted(names['images'] | names['masks']):
            try:
                _require_both(root, folder, name, names)
                rois.append(_read_roi(root, folder, name, entries))
            except ValueError as error:
                problems[f'{folder}/{name}'] = str(error)
    for name in entries.keys() - listed[CELLS]['images']:
        problems[f'{CELLS}/{name}'] = (
            f'{root / CELLS}/images/{name}: missing, but {COCO} names it; get it'
        )
    validation.raise_first(problems or _slides_without_region(root, rois))
    return rois


def digest(root: pathlib.Path) -> str:
    """The digest of all files that the regions are read from; no image is decoded.

    Args:
        root: as of `read_rois`.

    Raises:
        InputError: a file cannot be read.
    """
    names = [COCO] + [
        f'{folder}/{kind}/{name}'
        for folder in (REGIONS, CELLS)
        for kind, held in _list(root, folder).items()
        for name in held
    ]
    found = {}
    for name in names:
        with _reading(root / name):
            found[name] = digests.of_file(root / name)
    return digests.of_json(found)


def load_image(root: pathlib.Path, name: str) -> np.ndarray:
    """Reads a color image [h, w, 3] uint8; ValueError where it is bad."""
    return images.decode_rgb(_read(root / name), str(root / name))


def load_mask(root: pathlib.Path, name: str) -> np.ndarray:
    """Reads a mask [h, w] uint8 with the classes as in memory; ValueError where it is bad."""
    mask = images.decode_gray(_read(root / name), str(root / name))
    try:
        return geometry.tissue_classes(mask)
    except ValueError as error:
        raise InputError(f'{root / name}: {error}') from None


def _list(root: pathlib.Path, folder: str) -> dict[str, set[str]]:
    """Names of the PNGs of a folder, by 'images' and 'masks'."""
    return {
        kind: {
            path.name
            for path in (root / folder / kind).glob('*.png')
            if not path.name.startswith('.')
        }
        for kind in ('images', 'masks')
    }


def _require_both(
    root: pathlib.Path, folder: str, name: str, names: Mapping[str, set[str]]
) -> None:
    for kind, other in (('images', 'masks'), ('masks', 'images')):
        if name not in names[kind]:
            raise InputError(
                f'{root / folder}/{kind}/{name}: missing, but {other}/{name} is there; get both'
            )


def _read_roi(
    root: pathlib.Path, folder: str, name: str, entries: Mapping[str, coco.Entry]
) -> Roi:
    """Reads a region's image and mask, and checks what is said of them."""
    path = root / folder / 'images' / name
    match = _NAME.fullmatch(name)
    if not match:
        raise InputError(
            f'{path}: the name has no bracket; want NAME_[x1, y1, x2, y2].png, the place on the '
            'slide in pixels'
        )
    x, y, x_end, y_end = (int(number) for number in match.groups()[1:])
    size = load_image(root, f'{folder}/images/{name}').shape[1::-1]
    _check_size(path, size, (x_end - x, y_end - y), 'by its bracket', tolerance=1)
    boxes = _NO_BOXES
    if folder == CELLS:
        boxes = _checked_boxes(f'{root / COCO}: image {name}', entries.get(name), size)
    roi = Roi(folder, name, match[1], (x, y), size, boxes)
    mask = load_mask(root, roi.mask)
    _check_size(root / roi.mask, mask.shape[::-1], size, 'as its image')
    return roi


def _checked_boxes(where: str, entry: coco.Entry | None, size: _Size) -> np.ndarray:
    if entry is None:
        raise InputError(f'{where}: no entry for it; want one, with or without boxes')
    if entry.size is not None:
        _check_size(where, entry.size, size, 'as the image itself')
    points = geometry.box_centers(entry.boxes)
    outside = np.any((points < 0) | (points >= size), axis=-1)
    for x, y, width, height in entry.boxes[outside]:
        raise InputError(
            f'{where}: box x {x:g}, y {y:g}, width {width:g}, height {height:g} is outside; '
            f'want its center within {_text(size)}'
        )
    return entry.boxes


def _check_size(
    where: pathlib.Path | str, found: Sequence[int], wanted: _Size, why: str, tolerance: int = 0
) -> None:
    # Brackets may be rounded; where they are farther off, they are not pixels of the image.
    if any(abs(a - b) > tolerance for a, b in zip(found, wanted, strict=True)):
        raise InputError(f'{where}: size is {_text(found)}; want {_text(wanted)}, {why}')


def _slides_without_region(root: pathlib.Path, rois: Sequence[Roi]) -> dict[str, str]:
    """Tells which of TCGA's slides have cells but no region that they may lie in."""
    held = {roi.slide for roi in rois if roi.folder == REGIONS}
    return {
        roi.image: (
            f'{root / roi.image}: slide {roi.slide} has no region in {root / REGIONS}/images; '
            'want one, whose name starts alike'
        )
        for roi in rois
        if roi.folder == CELLS and roi.is_tcga and roi.slide not in held
    }


def _read(path: pathlib.Path) -> bytes:
    with _reading(path):
        return path.read_bytes()


@contextlib.contextmanager
def _reading(path: pathlib.Path) -> Iterator[None]:
    """Raises an InputError where a file cannot be read."""
    try:
        yield
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({error.strerror})') from None


def _text(size: Sequence[int]) -> str:
    return f'{size[0]} x {size[1]}'
