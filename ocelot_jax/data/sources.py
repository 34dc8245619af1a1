"""Opens the pairs that a configuration names: random access to the records of a split.

Reading never imports TensorFlow; preparing a TFDS data set for the first time does.
"""

import dataclasses
import functools
import os
import pathlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import ml_collections
import numpy as np

from ocelot_jax.data import folds, pair_folder, preparation, release
from ocelot_jax.data.outline import Outline
from ocelot_jax.data.release import split_name
from ocelot_jax.data.small_field_of_view import SmallFieldOfView
from ocelot_jax.io import digests
from ocelot_jax.io.errors import InputError

if TYPE_CHECKING:  # loading it takes a second, and folders need none of it
    import tensorflow_datasets as tfds

Record = Mapping[str, Any]

_IMAGES = ('cell_image', 'tissue_image', 'tissue_mask')


class Source(Protocol):
    """Random access to the records of one split, which `as_record` describes.

    Attributes:
        outline: of its pairs.
    """

    @property
    def outline(self) -> Outline: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Record: ...


@dataclasses.dataclass(frozen=True)
class Identity:
    """What tells the data of a split from other data.

    Attributes:
        name: what people call them; the path where they lie is no part of it.
        split: 'train', 'validation' or 'test'.
        digest: of their content.
    """

    name: str
    split: str
    digest: str


class TfdsSource:
    """The records of a split of TFDS, and as `cell_classes` the names of the classes 1, 2, ...

    Args:
        builder: of a data set that is prepared for random access.
        split: the split's name.
    """

    def __init__(self, builder: 'tfds.core.DatasetBuilder', split: str):
        source = builder.as_data_source(split)
        self._builder, self._split, self._source = builder, split, source
        self.cell_classes = tuple(source.dataset_info.features['cells']['label'].names[1:])

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Record:
        if index >= len(self):
            raise IndexError(index)  # which ends an iteration; TFDS would raise ValueError
        return as_record(self._source[index])

    @functools.cached_property
    def outline(self) -> Outline:
        """Reads all records, but decodes no image."""
        import tensorflow_datasets as tfds

        skip = {name: tfds.decode.SkipDecoding() for name in _IMAGES}
        source = self._builder.as_data_source(self._split, decoders=skip)
        records = (as_record(source[index]) for index in range(len(source)))
        return Outline.of(
            [
                (r['pair_id'], r['slide_name'], len(r['cells']['label']), r['cell_mpp'])
                for r in records
            ]
        )


def as_record(example: Mapping[str, Any]) -> dict[str, Any]:
    """Brings what `tfds.data_source` gives into the form in which `PairFolder` gives records.

    TFDS gives texts as bytes, numbers as Python floats and a sequence as a list of NumPy scalars.
    Fields may be missing.

    Returns:
        `pair_id`, `slide_name` and `organ` as str; `cell_image` and `tissue_image` [H,W,3] uint8;
        `tissue_mask` [H,W,1] uint8, classes from 0, 255 unknown; `cells`: `x` and `y` [n] float32,
        pixels of the cell patch with centers at integers, and `label` [n] int64, 1..K; `center`
        [2] float32, the relative (x, y) of the cell patch's center in the tissue patch;
        `cell_mpp` and `tissue_mpp` float32, micrometres per pixel.
    """
    record = dict(example)
    for name in ('pair_id', 'slide_name', 'organ'):
        if isinstance(record.get(name), bytes):
            record[name] = record[name].decode()
    for name in ('cell_mpp', 'tissue_mpp'):
        if name in record:
            record[name] = np.float32(record[name])
    if 'cells' in record:
        dtypes = {'x': np.float32, 'y': np.float32, 'label': np.int64}
        cells = record['cells']
        record['cells'] = {name: np.asarray(cells[name], dtypes[name]) for name in dtypes}
    return record


def splits(config: ml_collections.ConfigDict) -> tuple[str, ...]:
    """Names the splits of the data of `config.data`, in the order train, validation, test."""
    if config.folds:
        return folds.SPLITS
    return tuple(split for split in folds.SPLITS if split in _held(config))


def _held(config: ml_collections.ConfigDict) -> Collection[str]:
    """Names the splits of the data set itself."""
    if _is_path(config.source):
        return pair_folder.PairFolder(config.source).splits
    return _open_builder(config.source).info.splits


def check_source(source: str) -> None:
    """Checks, within a second, that there are data of a name, or files to prepare them from.

    Args:
        source: as `config.data.source`, see `open_source`.

    Raises:
        MissingFileError: there is nothing, or it must be downloaded by hand first.
        InputError: it is unknown, or no directory or zip of pairs.
        MissingPackageError: what prepares it is not installed.
    """
    if _is_path(source):
        release.Files(source)
    elif _prepared_builder(source) is None:
        _check_known(source)
        preparation.check_source(source)


def open_source(config: ml_collections.ConfigDict, split: str) -> Source:
    """Opens one split of the data that a config names.

    Args:
        config: `config.data`: `source`, `cell_classes` and `tissue_classes` are those of
            `open_pairs`. Without `large_fov` the tissue patches show the field of view of the
            cell patches. With `folds` the split is one of `fold`, see `folds.Fold`.
        split: 'train', 'validation' (or 'val') or 'test'.

    Returns:
        Random access to the split's records.

    Raises:
        MissingFileError: if `source` is a path, and there is nothing.
        InputError: if the source is unknown, or its data are bad.
    """
    [source] = open_sources(config, [split]).values()
    return source


def open_sources(config: ml_collections.ConfigDict, names: Iterable[str]) -> dict[str, Source]:
    """Opens several splits as `open_source` does, but reads through what folds share only once.

    Args:
        config: as of `open_source`.
        names: of the splits.

    Returns:
        The splits by 'train', 'validation' and 'test', in the order of `names`.

    Raises:
        MissingFileError: if `source` is a path, and there is nothing.
        InputError: if the source is unknown, or its data are bad.
    """
    names = [split_name(name) for name in names]
    folds.check(config.folds, config.fold)
    opened: dict[str, Source]
    if config.folds:
        dealt = [_open_split(config, name) for name in _dealt(config)]
        opened = {name: folds.Fold(dealt, config.folds, config.fold, name) for name in names}
    else:
        opened = {name: _open_split(config, name) for name in names}
    if config.large_fov:
        return opened
    return {name: SmallFieldOfView(source) for name, source in opened.items()}


def open_pairs(
    source: str | os.PathLike[str],
    split: str,
    cell_classes: Sequence[str] = ('BC', 'TC'),
    tissue_classes: Sequence[str] = ('BG', 'CA'),
) -> Source:
    """Opens one split of a data set.

    Args:
        source: a directory or zip in OCELOT's layout, which is read through before this returns,
            or else a TFDS name such as 'ocelot' or 'ocelot_synthetic/small', which is prepared
            first where it is not prepared yet.
        split: 'train', 'validation' (or 'val') or 'test'.
        cell_classes: of a directory or zip, the names of the cells' labels 1, 2, ...
        tissue_classes: of a directory or zip, the names of the mask's values 1, 2, ...

    Returns:
        Random access to the split's records, see `as_record`.

    Raises:
        MissingFileError: if `source` is a path, and there is nothing.
        InputError: if the source is unknown, or its data are bad.
    """
    source, split = os.fspath(source), split_name(split)
    if _is_path(source):
        folder = pair_folder.PairFolder(source, cell_classes, tissue_classes)
        folder.validate(split)
        return folder.as_data_source(split)
    builder = _open_builder(source)
    _split_of(builder, source, split)
    return TfdsSource(builder, split)


def _dealt(config: ml_collections.ConfigDict) -> list[str]:
    """The splits of the data set whose slides are dealt to folds."""
    return [split for split in folds.DEALT if split in _held(config)]


def _open_split(config: ml_collections.ConfigDict, split: str) -> Source:
    """Opens one split of the data set itself."""
    classes = [tuple(config.get(name, ())) for name in ('cell_classes', 'tissue_classes')]
    source = open_pairs(config.source, split, *classes)
    if isinstance(source, TfdsSource) and classes[0] not in ((), source.cell_classes):
        raise InputError(
            f'config.data.cell_classes: {classes[0]}, but those of {config.source!r} are '
            f'{source.cell_classes}; want the same'
        )
    return source


def identify(config: ml_collections.ConfigDict, split: str) -> Identity:
    """Tells a split's data from other data, by content.

    Of a directory every file is read once, of a zip none. Of a data set of TFDS, which has
    gigabytes, count the files that it was made from, where preparing kept their digest, and of
    each shard of records its size and up to 4 MiB: a record changed in place between these is
    not seen.

    Args:
        config: as of `open_source`.
        split: as of `open_source`.

    Raises:
        MissingFileError: if `source` is a path, and there is nothing.
        InputError: if the source is unknown, or its data are bad.
    """
    split = split_name(split)
    if config.folds:
        whole = [_identify_split(config, name) for name in _dealt(config)]
        place = {'folds': config.folds, 'fold': config.fold, 'split': split}
        name = f'{whole[0].name}, fold {config.fold} of {config.folds}'
        return Identity(name, split, digests.of_json([place, *(each.digest for each in whole)]))
    return _identify_split(config, split)


def _identify_split(config: ml_collections.ConfigDict, split: str) -> Identity:
    """Tells one split of the data set itself from other data."""
    if _is_path(config.source):
        folder = pair_folder.PairFolder(config.source)
        path = folder.files.path.resolve()
        name = path.stem if path.suffix == '.zip' else path.name
        return Identity(name, split, folder.digest(split))
    builder = _open_builder(config.source)
    held = _split_of(builder, config.source, split)
    template = held.filename_template.replace(filetype_suffix='array_record')
    shards = [
        digests.of_file(pathlib.Path(p)) for p in template.sharded_filepaths(held.num_shards)
    ]
    made_from = preparation.made_from(pathlib.Path(builder.data_dir))
    return Identity(builder.info.full_name, split, digests.of_json([made_from, *shards]))


def _split_of(
    builder: 'tfds.core.DatasetBuilder', source: str, split: str
) -> 'tfds.core.splits.SplitInfo':
    if split not in builder.info.splits:
        raise InputError(
            f'config.data.source: {source!r} has no split {split!r}; it has '
            f'{", ".join(sorted(builder.info.splits))}'
        )
    return builder.info.splits[split]


def _is_path(source: str) -> bool:
    looks_like_path = source.startswith(('./', '../', '/')) or source.endswith('.zip')
    return looks_like_path or pathlib.Path(source).expanduser().exists()


def _open_builder(name: str) -> 'tfds.core.DatasetBuilder':
    """Finds a data set by name, and prepares it first where it is not prepared."""
    builder = _prepared_builder(name)
    if builder is not None:
        return builder
    _check_known(name)
    preparation.prepare(name)
    return _prepared_builder(name)


def _check_known(name: str) -> None:
    known = preparation.builder_names()
    if name.partition('/')[0] not in known:
        raise InputError(
            f'config.data.source: {name!r} is neither a file or directory nor a data set; '
            f'want a path to a directory or zip in the layout of OCELOT, or one of '
            f'{", ".join(known)}'
        )


def _prepared_builder(name: str) -> 'tfds.core.DatasetBuilder | None':
    """Finds a data set that is on disk in the format that random access needs."""
    # TFDS answers what is no name, such as a mistyped path, with ten lines.
    if not re.fullmatch(r'\w+(/[\w.-]+)?(:[\d.]+)?', name):
        return None
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name)
    except tfds.core.DatasetNotFoundError:
        return None
    formats = builder.info.available_file_formats() if builder.is_prepared() else ()
    return builder if tfds.core.FileFormat.ARRAY_RECORD in formats else None
