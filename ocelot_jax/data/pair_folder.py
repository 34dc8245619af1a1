"""Any directory or zip in OCELOT's layout as a data source, without preparing anything."""

import dataclasses
import functools
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ocelot_jax.data import images, metadata, release, validation
from ocelot_jax.data.outline import Outline
from ocelot_jax.io import digests, progress
from ocelot_jax.io.errors import InputError

_IMAGES = ('cell_image', 'tissue_image')
_KINDS = (*_IMAGES, 'cells', 'tissue_mask')


class PairFolder:
    """Pairs of cell and tissue patches in OCELOT's layout (`ocelot_jax.data.release`).

    Patches may have any size; a split's pairs come in the order of their ids.

    Args:
        path: a directory or a zip file, with or without one top folder.
        cell_classes: names of the cell classes, for the labels 1, 2, ...
        tissue_classes: names of the tissue classes, for the mask values 1, 2, ... on disk,
            0, 1, ... in memory.
        annotated: whether to read annotations; without, none need be there, and records lack
            `tissue_mask` and `cells`.

    Raises:
        MissingFileError: if there is nothing at `path`.
        InputError: if `path` is no such directory or zip, or its `metadata.json` cannot be read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        cell_classes: Sequence[str] = ('BC', 'TC'),
        tissue_classes: Sequence[str] = ('BG', 'CA'),
        annotated: bool = True,
    ):
        self.cell_classes = tuple(cell_classes)
        self.tissue_classes = tuple(tissue_classes)
        self._kinds = _KINDS if annotated else _IMAGES
        self.files = release.Files(path)
        self._metadata = metadata.read_metadata(self.files)
        # names of files by split, kind and pair
        self._listed: dict[str, dict[str, dict[str, list[str]]]] = {
            split: {
                kind: release.by_pair(self.files.list(release.kind_folder(kind, split)))
                for kind in self._kinds
            }
            for split in release.SPLIT_FOLDERS
        }
        self._ids = {split: self._find_ids(split) for split in release.SPLIT_FOLDERS}

    @property
    def splits(self) -> dict[str, int]:
        """Number of pairs by split, for the splits that there are."""
        return {split: len(ids) for split, ids in self._ids.items() if ids}

    def as_data_source(self, split: str) -> 'PairSource':
        """Gives random access to the records of 'train', 'validation' (or 'val') or 'test'.

        Raises:
            InputError: if the split is empty, a pair lacks a file, or its metadata are wrong.
        """
        split = self._existing(split)
        pairs, problems = self.pairs(split)
        validation.raise_first(problems)
        return PairSource(self, split, tuple(pairs))

    def validate(self, splits: str | Iterable[str] | None = None) -> None:
        """Reads every file of a split or of several; of all that there are where None.

        Raises:
            InputError: with one line that names the first bad file (in sorted order), what was
                found there and what is wanted, and how many more are bad.
        """
        if splits is None:
            splits = tuple(self.splits) or ('train',)
        wanted = [splits] if isinstance(splits, str) else splits
        problems: dict[str, str] = {}
        for split in dict.fromkeys(self._existing(split) for split in wanted):
            pairs, found = self.pairs(split)
            checker = validation.Checker(self, split, found)
            checker.check(self._ids[split], pairs)
            problems |= checker.problems
            validation.warn_of_duplicates(self.files, checker.duplicates)
        validation.raise_first(problems)

    def encoded_examples(self, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yields a split's examples for a TFDS builder: the pair's id, and its record.

        Color images are file objects, so that TFDS keeps their bytes as they are; TIFF, which
        TensorFlow cannot decode, becomes PNG. The mask is an array: its values differ from the
        file's. Other images than TIFF are not decoded: `validate` finds those that are damaged.

        Raises:
            InputError: if the split is empty, or a file is missing or bad.
        """
        pairs = self.as_data_source(split).pairs
        for pair in progress.track(pairs, f'preparing {split}', len(pairs), 'pairs'):
            encoded = {kind: io.BytesIO(self._encoded(kind, pair)) for kind in _IMAGES}
            size = self.size('cell_image', pair.split, pair.pair_id)
            yield pair.pair_id, self._record(pair, encoded, size)

    def digest(self, split: str) -> str:
        """The digest of what a split's records are read from, whole: metadata and files.

        The same wherever the data lie, and in a zip as in a directory. Of a directory every
        file is read once, of a zip none.

        Raises:
            InputError: if the split is empty, a pair lacks a file, or its metadata are wrong.
        """
        pairs = self.as_data_source(split).pairs
        files = [
            {
                kind: self.files.checksum(self.name(kind, pair.split, pair.pair_id))
                for kind in self._kinds
            }
            for pair in pairs
        ]
        return digests.of_json([*map(dataclasses.astuple, pairs), *files])

    def read(self, pair: metadata.Pair) -> dict[str, Any]:
        """Reads and decodes one record.

        Raises:
            InputError: if a file is missing or bad.
        """
        decoded = {kind: self.decode(kind, pair.split, pair.pair_id) for kind in _IMAGES}
        return self._record(pair, decoded, decoded['cell_image'].shape[1::-1])

    def pairs(self, split: str) -> tuple[list[metadata.Pair], dict[str, str]]:
        """A split's pairs of good metadata, and the problems by file or metadata entry."""
        pairs, problems = [], {}
        for pair_id in self._ids[split]:
            for kind in self._kinds:
                names, name = self._names(kind, split, pair_id), self.name(kind, split, pair_id)
                if problem := release.problem(kind, names, pair_id):
                    problems[name] = f'{self.files.label(name)}: {problem}'
            try:
                pairs.append(self._pair(split, pair_id))
            except InputError as error:
                problems[f'{release.METADATA}/{pair_id}'] = str(error)
        return pairs, problems

    def name(self, kind: str, split: str, pair_id: str) -> str:
        """Names a pair's file relative to the root; as the release does where it is not there."""
        fit = release.fitting(kind, self._names(kind, split, pair_id))
        return fit[0] if fit else release.usual_name(kind, split, pair_id)

    def holds(self, kind: str, split: str, pair_id: str) -> bool:
        """Whether a pair's file of a kind is there."""
        return bool(release.fitting(kind, self._names(kind, split, pair_id)))

    def decode(
        self, kind: str, split: str, pair_id: str, size: tuple[float, float] = release.ANYWHERE
    ) -> Any:
        """One file of a pair, decoded as it stands in the record.

        Args:
            kind: 'cell_image', 'tissue_image', 'tissue_mask' or 'cells', then arrays by name.
            split: 'train', 'validation' or 'test'.
            pair_id: the pair's id.
            size: (width, height) of the cell patch, in which 'cells' must lie.

        Raises:
            InputError: if the file is missing or bad.
        """
        name = self.name(kind, split, pair_id)
        data, label = self.files.read(name), self.files.label(name)
        if kind == 'cells':
            return release.decode_cells(data, label, len(self.cell_classes), size)
        if kind == 'tissue_mask':
            return release.decode_mask(data, label, len(self.tissue_classes))
        return images.decode_rgb(data, label)

    def size(self, kind: str, split: str, pair_id: str) -> tuple[int, int]:
        """(width, height) of a pair's 'cell_image' or 'tissue_image', by its header alone.

        Raises:
            InputError: if the file is missing or bad.
        """
        name = self.name(kind, split, pair_id)
        return images.read_size(self.files.read(name), self.files.label(name))

    def _encoded(self, kind: str, pair: metadata.Pair) -> bytes:
        name = self.name(kind, pair.split, pair.pair_id)
        return images.encode_for_tensorflow(self.files.read(name), self.files.label(name))

    def _record(
        self, pair: metadata.Pair, color: Mapping[str, Any], size: tuple[int, int]
    ) -> dict[str, Any]:
        """A pair's record, of color images by name and the (width, height) of its cell patch."""
        contents = dict(color)
        if 'tissue_mask' in self._kinds:
            contents['tissue_mask'] = self.decode('tissue_mask', pair.split, pair.pair_id)
        if 'cells' in self._kinds:
            contents['cells'] = self.decode('cells', pair.split, pair.pair_id, size)
        return {
            'pair_id': pair.pair_id,
            'slide_name': pair.slide_name,
            'organ': pair.organ,
            **contents,
            'center': np.array(pair.center, np.float32),
            'cell_mpp': np.float32(pair.cell_mpp),
            'tissue_mpp': np.float32(pair.tissue_mpp),
        }

    def _find_ids(self, split: str) -> list[str]:
        """Ids that the split's folders or its entries in the metadata name, sorted."""
        ids = {
            pair_id
            for pair_id, entry in self._metadata.items()
            if isinstance(entry, Mapping)
            and entry.get('subset') in (split, release.SPLIT_FOLDERS[split])
        }
        return sorted(ids.union(*self._listed[split].values()))

    def _names(self, kind: str, split: str, pair_id: str) -> list[str]:
        return self._listed[split].get(kind, {}).get(pair_id, [])

    def _existing(self, split: str) -> str:
        split = release.split_name(split)
        if not self._ids[split]:
            held = ', '.join(f'{name} {count}' for name, count in self.splits.items())
            raise InputError(
                f'{self.files.path}: split {split!r} is empty; pairs found: {held or 0}'
            )
        return split

    def _pair(self, split: str, pair_id: str) -> metadata.Pair:
        label = self.files.label(release.METADATA)
        if pair_id not in self._metadata:
            raise InputError(f'{label}: no entry for pair {pair_id}, whose files are in {split!r}')
        pair = metadata.parse_pair(pair_id, self._metadata[pair_id], label)
        if pair.split != split:
            raise InputError(
                f"{label}: pair {pair_id}: 'subset' is {pair.split!r}; its files are in {split!r}"
            )
        return pair


class PairSource:
    """Random access to the records of one split; made by `PairFolder.as_data_source`.

    May be pickled, and read from many threads and processes at once. Text fields are `str`,
    numbers NumPy float32.
    """

    def __init__(self, folder: PairFolder, split: str, pairs: tuple[metadata.Pair, ...]):
        self._folder, self._split, self.pairs = folder, split, pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._folder.read(self.pairs[index])

    @functools.cached_property
    def outline(self) -> Outline:
        """Reads the annotated cells of all pairs, wherever they lie."""
        cells = [self._folder.decode('cells', self._split, p) for p in self.pair_ids]
        return Outline.of(
            [
                (pair.pair_id, pair.slide_name, len(held['label']), pair.cell_mpp)
                for pair, held in zip(self.pairs, cells, strict=True)
            ]
        )

    @property
    def pair_ids(self) -> tuple[str, ...]:
        """The pairs' ids, in order."""
        return tuple(pair.pair_id for pair in self.pairs)
