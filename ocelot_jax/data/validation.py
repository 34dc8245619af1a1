"""Whether every file of a split is whole and fits the others."""

import collections
import concurrent.futures
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from absl import logging

from ocelot_jax.data import metadata, release
from ocelot_jax.io import cores
from ocelot_jax.io.errors import InputError

if TYPE_CHECKING:
    from ocelot_jax.data.pair_folder import PairFolder

Size = tuple[int, int]  # (width, height)
Extent = tuple[float, float]  # the same, without end where cells may lie anywhere
Sizes = Mapping[str, Size | None]

_IMAGES = ('cell_image', 'tissue_image')


def raise_first(problems: Mapping[str, str]) -> None:
    """Raises InputError with the first problem by sorted key, and how many more there are."""
    if not problems:
        return
    others = len(problems) - 1
    more = f' (and {others} more {"is" if others == 1 else "are"} bad)' if others else ''
    raise InputError(problems[min(problems)] + more)


def warn_of_duplicates(files: release.Files, duplicates: Mapping[str, int]) -> None:
    """Warns of cells that are annotated where another is: each counts in training and scores.

    Args:
        files: of the data set.
        duplicates: how many there are in an annotation, by its file's name.
    """
    if duplicates:
        logging.warning(
            '%s: %d cells lie exactly where another does (in %d files); each counts',
            files.label(min(duplicates)),
            sum(duplicates.values()),
            len(duplicates),
        )


@dataclasses.dataclass
class Checker:
    """Reads every file of a split.

    Attributes:
        folder: the data set.
        split: 'train', 'validation' or 'test'.
        problems: one line by the name of each bad file, or of its entry in the metadata. Files
            that are missing altogether are left to the listing.
        duplicates: how many cells lie exactly where another does, by the name of the file.
    """

    folder: 'PairFolder'
    split: str
    problems: dict[str, str] = dataclasses.field(default_factory=dict)
    duplicates: dict[str, int] = dataclasses.field(default_factory=dict)

    def check(self, pair_ids: Sequence[str], pairs: Sequence[metadata.Pair]) -> None:
        """Checks all the split's pairs by their ids; `pairs` are those of good metadata."""
        with concurrent.futures.ThreadPoolExecutor(cores.count()) as pool:
            sizes = dict(zip(pair_ids, pool.map(self._measure, pair_ids), strict=True))
            usual: dict[str, Size | None] = {}
            for kind in _IMAGES:
                held = collections.Counter(size[kind] for size in sizes.values() if size[kind])
                usual[kind] = held.most_common(1)[0][0] if held else None
            check = functools.partial(self._check_annotations, usual)
            list(pool.map(check, pair_ids, sizes.values()))
        cell, tissue = (usual[kind] for kind in _IMAGES)
        for pair in pairs:
            if cell and tissue and sizes[pair.pair_id] == usual:
                self._check_center(pair, cell, tissue)

    def _decode(self, kind: str, pair_id: str, size: Extent = release.ANYWHERE) -> Any:
        """Decodes a file; None if it is bad, or missing, which the listing tells already."""
        try:
            if self.folder.holds(kind, self.split, pair_id):
                return self.folder.decode(kind, self.split, pair_id, size)
        except InputError as error:
            self.problems[self.folder.name(kind, self.split, pair_id)] = str(error)

    def _measure(self, pair_id: str) -> dict[str, Size | None]:
        """The sizes of a pair's color images; None of a bad one."""
        images = {kind: self._decode(kind, pair_id) for kind in _IMAGES}
        return {k: None if image is None else image.shape[1::-1] for k, image in images.items()}

    def _check_annotations(self, usual: Sizes, pair_id: str, sizes: Sizes) -> None:
        """An image of an unusual size is bad itself; its annotations are not blamed for it."""

        def blame(kind: str, found: Size, wanted: Size, whose: str) -> None:
            name = self.folder.name(kind, self.split, pair_id)
            texts = [f'{width} x {height}' for width, height in (found, wanted)]
            label = self.folder.files.label(name)
            self.problems[name] = f'{label}: size is {texts[0]}; want {texts[1]}, as {whose}'

        for kind in _IMAGES:
            size, wanted = sizes[kind], usual[kind]
            if size and wanted and size != wanted:
                blame(kind, size, wanted, "the split's other patches")
        cells = self._decode('cells', pair_id, usual['cell_image'] or release.ANYWHERE)
        if cells is not None and (count := release.count_duplicates(cells)):
            self.duplicates[self.folder.name('cells', self.split, pair_id)] = count
        mask = self._decode('tissue_mask', pair_id)
        size = sizes['tissue_image']
        if mask is not None and size and size == usual['tissue_image'] != mask.shape[1::-1]:
            blame('tissue_mask', mask.shape[1::-1], size, 'its tissue image')

    def _check_center(self, pair: metadata.Pair, cell: Size, tissue: Size) -> None:
        """Tells where the cell patch would reach out of the tissue patch."""
        where = f'{self.folder.files.label(release.METADATA)}: pair {pair.pair_id}'
        for axis, center, cell_length, length in zip('xy', pair.center, cell, tissue, strict=True):
            # Lengths in pixels of the tissue patch; the release rounds its offsets to about one.
            extent = cell_length * pair.cell_mpp / pair.tissue_mpp
            start, end = length * center - extent / 2, length * center + extent / 2
            if start < -1 or end > length + 1:
                self.problems[f'{release.METADATA}/{pair.pair_id}'] = (
                    f"{where}: 'patch_{axis}_offset' is {center:g}, which puts the cell patch at "
                    f'{start:.1f}..{end:.1f} of the tissue patch; want it within 0..{length}'
                )
                return
