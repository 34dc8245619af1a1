"""Turns a data set's files into TFDS records.

TFDS reads TFRecord as `tf.data` and ArrayRecord by random access, and prepares one of the two.
This leaves both side by side, so that both ways work by name and with no import of ours:

    tfds.load('ocelot', split='train')
    tfds.builder('ocelot').as_data_source('train')
    tfds.data_source('ocelot', split='train', data_dir=DIR)

The latter two, which training reads, need no TensorFlow. Without a `data_dir`, TFDS 4.9.10 lets
`tfds.data_source` read only what was prepared in ArrayRecord first, which `tfds.load` cannot read.
"""

import contextlib
import importlib
import importlib.util
import io
import json
import os
import pathlib
import pkgutil
import tempfile
from collections.abc import Iterator
from typing import Any

from absl import logging

from ocelot_jax.io import locks
from ocelot_jax.io.errors import InputError, MissingPackageError

FORMATS = ('tfrecord', 'array_record')
# where the builders are; found by name, because they import this room
_DATASETS = 'ocelot_jax.datasets'
_MODULE = f'{_DATASETS}.{{0}}.{{0}}_dataset_builder'
_INFO = 'dataset_info.json'
_MADE_FROM = 'made_from.json'

_Builder = Any  # `PairBuilder` of the datasets, which import this room


def prepare(
    name: str,
    data_dir: str | os.PathLike[str] | None = None,
    manual_dir: str | os.PathLike[str] | None = None,
) -> pathlib.Path:
    """Prepares a data set in TFRecord and ArrayRecord, or what is missing of the two.

    Each step ends in one renaming: whatever kills it, the next call completes the rest. Where
    all is there already, nothing is written and TensorFlow is not needed. Of several processes
    that call it, one prepares and the others wait.

    Args:
        name: name of one of our data sets, such as 'ocelot' or 'ocelot_synthetic/small'.
        data_dir: where TFDS keeps its data sets; TFDS's own default where None.
        manual_dir: where downloads by hand lie; `data_dir`/downloads/manual where None.

    Returns:
        The folder that holds the records of both formats.

    Raises:
        MissingFileError: if the data must be downloaded by hand first.
        InputError: if there is no such data set, one of its files is bad, or it was prepared
            from other files.
        MissingPackageError: if something must be written and TensorFlow is not installed.
    """
    builder = _builder(name, data_dir)
    if not _is_complete(builder):
        root = pathlib.Path(builder.data_dir_root)
        tell = lambda: logging.warning('%s: waiting for another process, which prepares it', name)
        with locks.exclusive(root / f'.{builder.name}.lock', tell):
            # made anew, because it may have been prepared meanwhile
            builder = _builder(name, data_dir)
            if not _is_complete(builder):
                _complete(builder, manual_dir)
    _check_made_from(builder, manual_dir)
    return pathlib.Path(builder.data_dir)


def check_source(name: str) -> None:
    """Checks that a data set is prepared or can be, and loads nothing that prepares it.

    Args:
        name: as of `prepare`.

    Raises:
        MissingFileError: if the data must be downloaded by hand first.
        InputError: if there is no such data set.
        MissingPackageError: if something must be written and TensorFlow is not installed.
    """
    builder = _builder(name, None)
    if not _is_complete(builder):
        _check_writable(builder, None)


def made_from(directory: pathlib.Path) -> str | None:
    """The digest of the files that a prepared data set was made from; None where none is kept."""
    path = directory / _MADE_FROM
    return json.loads(path.read_text())['digest'] if path.exists() else None


def write_made_from(directory: pathlib.Path, digest: str) -> None:
    """Keeps the digest of the files that a data set is made from, in the folder being made."""
    (directory / _MADE_FROM).write_text(json.dumps({'digest': digest}) + '\n')


def builder_names() -> list[str]:
    """Names of the data sets that can be prepared, from the folders of `datasets/`."""
    return sorted(
        module.name
        for module in pkgutil.iter_modules(importlib.import_module(_DATASETS).__path__)
        if module.ispkg and importlib.util.find_spec(_MODULE.format(module.name))
    )


def _builder(name: str, data_dir: str | os.PathLike[str] | None) -> _Builder:
    """Makes the builder of a data set by name, with an optional configuration."""
    dataset, _, config = name.partition('/')
    if dataset not in builder_names():
        known = ', '.join(builder_names())
        raise InputError(f'data set is {name!r}; want one of {known}')
    import tensorflow_datasets as tfds

    # Not registered: by name, TFDS shall find the prepared files and both their formats.
    builder_cls = tfds.core.community.builder_cls_from_module(_MODULE.format(dataset))
    configs = [known.name for known in builder_cls.BUILDER_CONFIGS]
    if config and config not in configs:
        known = ', '.join(f'{dataset}/{each}' for each in configs) or dataset
        raise InputError(f'data set is {name!r}; want one of {known}')
    if data_dir is not None:
        data_dir = os.path.abspath(os.path.expanduser(data_dir))
    return builder_cls(data_dir=data_dir, config=config or None)


def _is_complete(builder: _Builder) -> bool:
    is_there = (pathlib.Path(builder.data_dir) / _INFO).exists()
    return is_there and all(_has(builder, file_format) for file_format in FORMATS)


def _check_made_from(builder: _Builder, manual_dir: str | os.PathLike[str] | None) -> None:
    """Raises an InputError where a prepared data set was made from other files than there are."""
    directory = pathlib.Path(builder.data_dir)
    found = builder.digest_source(manual_dir)
    if found is None:
        return
    kept = made_from(directory)
    if kept is None:
        logging.warning(
            '%s: nothing there tells what it was prepared from; it is taken as it is', directory
        )
    elif kept != found:
        raise InputError(
            f'{directory}: was prepared from other files than those that are there now; remove '
            'this folder to prepare it from these'
        )


def _complete(builder: _Builder, manual_dir: str | os.PathLike[str] | None) -> None:
    """Writes what is missing of a data set."""
    _check_writable(builder, manual_dir)
    _load_tensorflow()
    import tensorflow_datasets as tfds

    if not (pathlib.Path(builder.data_dir) / _INFO).exists():
        config = tfds.download.DownloadConfig(
            manual_dir=None if manual_dir is None else pathlib.Path(manual_dir).expanduser()
        )
        # the builders show how far they are; TFDS's bars, and words that speak of a download,
        # would fill a log with control characters
        tfds.display_progress_bar(False)
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare(download_config=config, file_format=FORMATS[0])
    for file_format in FORMATS:
        if not _has(builder, file_format):
            _add_format(builder, file_format)


def _check_writable(builder: _Builder, manual_dir: str | os.PathLike[str] | None) -> None:
    if importlib.util.find_spec('tensorflow') is None:
        raise MissingPackageError(
            'TensorFlow is not installed, which preparing a data set needs (reading one does '
            "not): pip install 'ocelot_jax[datasets]'"
        )
    if not (pathlib.Path(builder.data_dir) / _INFO).exists():
        builder.check_source(manual_dir)


def _load_tensorflow() -> None:
    # TensorFlow's log of how it starts tells nothing about the data.
    for variable, value in (('TF_CPP_MIN_LOG_LEVEL', '2'), ('TF_ENABLE_ONEDNN_OPTS', '0')):
        os.environ.setdefault(variable, value)
    import tensorflow as tf

    # It would take the memory of a GPU that JAX is to train on; too late where it did already.
    with contextlib.suppress(RuntimeError):
        tf.config.set_visible_devices([], 'GPU')


def _has(builder: _Builder, file_format: str) -> bool:
    """Whether a format is announced in `dataset_info.json` and all its shards are there."""
    from tensorflow_datasets.core import dataset_info

    # The info of a builder made from its class knows only the first format.
    proto = dataset_info.read_proto_from_builder_dir(builder.data_dir)
    return file_format in dataset_info.available_file_formats(proto) and all(
        path.exists() for _, path in _shards(builder, file_format)
    )


def _shards(builder: _Builder, file_format: str) -> Iterator[tuple[pathlib.Path, pathlib.Path]]:
    """Paths of all shards, in the format that the builder reads now and in another."""
    for split in builder.info.splits.values():
        template, count = split.filename_template, split.num_shards
        old = template.sharded_filepaths(count)
        new = template.replace(filetype_suffix=file_format).sharded_filepaths(count)
        yield from zip(map(pathlib.Path, old), map(pathlib.Path, new), strict=True)


def _add_format(builder: _Builder, file_format: str) -> None:
    """Writes a prepared data set's records once more in another format, beside the first.

    TFDS's own `convert_format` reads no ArrayRecord, and does not announce the new format where
    it was killed between the last shard and `dataset_info.json`.
    """
    from tensorflow_datasets.core import dataset_info, file_adapters

    directory = pathlib.Path(builder.data_dir)
    held = builder.info.file_format.value
    if held not in FORMATS or not _has(builder, held):
        raise InputError(
            f'{directory}: its {held} files are not whole or in no format we read; want '
            f'{" or ".join(FORMATS)}: remove the folder and prepare it again'
        )
    adapter = file_adapters.ADAPTER_FOR_FORMAT[file_adapters.FileFormat(file_format)]
    with tempfile.TemporaryDirectory(prefix='.converting-', dir=directory.parent) as scratch:
        for old, new in _shards(builder, file_format):
            written = pathlib.Path(scratch) / new.name
            adapter.write_examples(written, enumerate(_serialized(old)))
            os.replace(written, new)
        proto = dataset_info.read_proto_from_builder_dir(directory)
        # `tfds.load` looks at the first format alone, `tfds.data_source` at all.
        proto.file_format = FORMATS[0]
        proto.alternative_file_formats[:] = FORMATS[1:]
        dataset_info.write_dataset_info_proto(proto, scratch)
        # The last step: until now nothing has told TFDS of the new files.
        os.replace(pathlib.Path(scratch) / _INFO, directory / _INFO)


def _serialized(path: pathlib.Path) -> Iterator[bytes]:
    """Yields a shard's records, as serialized examples."""
    if 'array_record' in path.name:
        from array_record.python import array_record_data_source

        with array_record_data_source.ArrayRecordDataSource([str(path)]) as source:
            yield from (source[index] for index in range(len(source)))
    else:
        import tensorflow as tf

        yield from (record.numpy() for record in tf.data.TFRecordDataset(str(path)))
