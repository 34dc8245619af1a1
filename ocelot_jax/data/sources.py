"""Where the pairs of a configuration come from: random access to the records of a split.

Never imports TensorFlow to read.
"""

import pathlib
import re
from collections.abc import Mapping
from typing import Any, Protocol

import ml_collections
import tensorflow_datasets as tfds

from ocelot_jax.data import pair_folder, preparation, small_field_of_view
from ocelot_jax.io.errors import InputError

Record = Mapping[str, Any]


class Source(Protocol):
    """Random access to the records of one split."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Record: ...


def splits(config: ml_collections.ConfigDict) -> tuple[str, ...]:
    """Names the splits of the data of `config.data`, in the order train, validation, test."""
    if _is_path(config.source):
        held = pair_folder.PairFolder(config.source).splits
    else:
        held = _open_builder(config.source).info.splits
    return tuple(split for split in ('train', 'validation', 'test') if split in held)


def open_source(config: ml_collections.ConfigDict, split: str) -> Source:
    """Opens one split of the data that a config names.

    Args:
        config: `config.data`: `source` is a directory or zip in OCELOT's layout, which is read
            through before this returns, or else a TFDS name such as 'ocelot' or
            'ocelot_synthetic/small', which is prepared first where it is not prepared yet;
            `large_fov`, where it is there and false, takes the cell patches for tissue
            patches too. `cell_classes` and `tissue_classes` name the classes of a directory or
            zip.
        split: 'train', 'validation' (or 'val') or 'test'.

    Returns:
        Random access to the split's records.

    Raises:
        FileNotFoundError: if `source` is a path, and there is nothing.
        InputError: if the source is unknown, or its data are bad.
    """
    split = pair_folder.split_name(split)
    source = _open_source(config, split)
    return (
        source if config.get('large_fov', True) else small_field_of_view.SmallFieldOfView(source)
    )


def _open_source(config: ml_collections.ConfigDict, split: str) -> Source:
    if not _is_path(config.source):
        return _open_tfds(config.source, split)
    folder = pair_folder.PairFolder(
        config.source,
        cell_classes=tuple(config.cell_classes),
        tissue_classes=tuple(config.tissue_classes),
    )
    folder.validate([split])
    return folder.as_data_source(split)


def _is_path(source: str) -> bool:
    looks_like_path = source.startswith(('./', '../', '/')) or source.endswith('.zip')
    return looks_like_path or pathlib.Path(source).exists()


def _open_tfds(name: str, split: str) -> Source:
    builder = _open_builder(name)
    if split not in builder.info.splits:
        raise InputError(
            f'config.data.source: {name!r} has no split {split!r}; it has '
            f'{", ".join(sorted(builder.info.splits))}'
        )
    return builder.as_data_source(split=split)


def _open_builder(name: str) -> tfds.core.DatasetBuilder:
    """Finds a data set by name, and prepares it first where it is not prepared."""
    builder = _prepared_builder(name)
    if builder is not None:
        return builder
    known = preparation.builder_names()
    if name.partition('/')[0] not in known:
        raise InputError(
            f'config.data.source: {name!r} is neither a file or directory nor a data set; '
            f'want a path to a directory or zip in the layout of OCELOT, or one of '
            f'{", ".join(known)}'
        )
    preparation.prepare(name)
    return _prepared_builder(name)


def _prepared_builder(name: str) -> tfds.core.DatasetBuilder | None:
    """Finds a data set that is on disk in the format that random access needs."""
    # TFDS answers what is no name, such as a mistyped path, with ten lines.
    if not re.fullmatch(r'\w+(/[\w.-]+)?(:[\d.]+)?', name):
        return None
    try:
        builder = tfds.builder(name)
    except tfds.core.DatasetNotFoundError:
        return None
    formats = builder.info.available_file_formats() if builder.is_prepared() else ()
    return builder if tfds.core.FileFormat.ARRAY_RECORD in formats else None
