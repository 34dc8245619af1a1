"""What TFDS's builders lack for a data set that lies in two formats side by side."""

import contextlib
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow_datasets as tfds
from ocelot_jax.datasets import features
from tensorflow_datasets.core import dataset_info, shuffle

from ocelot_jax.data import pair_folder, preparation
from ocelot_jax.io import digests
from ocelot_jax.io.errors import MissingFileError

# What TFDS may hold of a split before it sorts on disk; its own 1 GB is the whole of TIGER.
_SHUFFLE_BYTES = 64 << 20


# TFDS has no types, by which mypy would know the keyword
class PairBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """A builder that finds its ArrayRecord files beside its TFRecord files.

    A builder made from its class, rather than from the prepared files, forgets the formats that
    were added after the first, and refuses to be asked for them.

    Args:
        file_format: 'tfrecord' or 'array_record', to be read or to be prepared; the first that
            was prepared, or TFRecord, where None.
        **kwargs: as of `tfds.core.GeneratorBasedBuilder`.
    """

    def __init__(self, *, file_format: str | tfds.core.FileFormat | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self._add_formats()
        if file_format is not None:
            wanted = tfds.core.FileFormat.from_value(file_format)
            held = self.has_info() and wanted in self.info.available_file_formats()
            self.info.set_file_format(
                wanted, override=held or not self.has_info(), override_if_initialized=held
            )

    def has_info(self) -> bool:
        """Whether the data set is prepared, as `is_prepared` tells with a warning where not."""
        return (tfds.core.Path(self.data_dir) / 'dataset_info.json').exists()

    def as_data_source(self, *args: Any, **kwargs: Any) -> Sequence[Any]:
        """Gives random access, as `tfds.core.DatasetBuilder.as_data_source` does."""
        self._add_formats()
        return super().as_data_source(*args, **kwargs)

    def _add_formats(self) -> None:
        """Reads which formats the prepared files tell of, if there are any by now."""
        if not self.has_info():
            return
        proto = dataset_info.read_proto_from_builder_dir(self.data_dir)
        for name in proto.alternative_file_formats:
            added = tfds.core.FileFormat(name)
            if added not in self.info.available_file_formats():
                self.info.add_alternative_file_format(added)

    def _download_and_prepare(
        self,
        dl_manager: tfds.download.DownloadManager,
        download_config: tfds.download.DownloadConfig,
    ) -> None:
        """Builds in little memory, however many records there are; their order stays the same."""
        with _shuffling_within(_SHUFFLE_BYTES):
            super()._download_and_prepare(dl_manager, download_config)
        digest = self._digest(dl_manager)
        if digest is not None:
            preparation.write_made_from(pathlib.Path(self.data_dir), digest)

    def digest_source(self, manual_dir: str | os.PathLike[str] | None) -> str | None:
        """The digest of the files in the folder for manual downloads, TFDS's own where None.

        None where the data set is made from none, or they are not there (any more).
        """
        try:
            return self._digest(self._manager(manual_dir))
        except MissingFileError:
            return None

    def check_source(self, manual_dir: str | os.PathLike[str] | None) -> None:
        """Checks that the files which the data set is made from are there, and reads none.

        Raises:
            MissingFileError: with one line that says where to get them and where to put them.
        """
        self._find_source(self._manager(manual_dir))

    def _manager(self, manual_dir: str | os.PathLike[str] | None) -> tfds.download.DownloadManager:
        folder = pathlib.Path(manual_dir or self.data_dir_root / 'downloads/manual').expanduser()
        return tfds.download.DownloadManager(
            download_dir=self.data_dir_root / 'downloads',
            manual_dir=folder,
            manual_dir_instructions=self.MANUAL_DOWNLOAD_INSTRUCTIONS,
        )

    def _find_source(self, dl_manager: tfds.download.DownloadManager) -> None:
        """Raises a MissingFileError where files that the data set is made from are not there."""

    def _digest(self, dl_manager: tfds.download.DownloadManager) -> str | None:
        """The digest of the files that the records are made from; None where there are none."""
        return None


# as above
class PairFolderBuilder(PairBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Builds from a release in OCELOT's layout, a zip or the same unpacked.

    Attributes:
        CELL_CLASSES: names of the cell classes 1, 2, ...
        HOMEPAGE: where to read about the data.
        ARCHIVES: pattern of the release's name in the folder for manual downloads.
        WANTED: where to get the release and where to put it, for errors.
    """

    CELL_CLASSES: tuple[str, ...]
    HOMEPAGE: str
    ARCHIVES: str
    WANTED: str

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=features.pair_features(self.CELL_CLASSES), homepage=self.HOMEPAGE
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        folder = pair_folder.PairFolder(self.find_release(dl_manager), self.CELL_CLASSES)
        folder.validate()
        return {split: self._generate_examples(folder, split) for split in folder.splits}

    def _generate_examples(
        self, folder: pair_folder.PairFolder, split: str
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        return folder.encoded_examples(split)

    def _find_source(self, dl_manager: tfds.download.DownloadManager) -> None:
        self.find_release(dl_manager)

    def _digest(self, dl_manager: tfds.download.DownloadManager) -> str:
        folder = pair_folder.PairFolder(self.find_release(dl_manager), self.CELL_CLASSES)
        return digests.of_json({split: folder.digest(split) for split in folder.splits})

    @classmethod
    def find_release(cls, dl_manager: tfds.download.DownloadManager) -> pathlib.Path:
        """Finds the release in TFDS's folder for manual downloads.

        Args:
            dl_manager: knows the folder.

        Returns:
            Path of the zip or of the unpacked folder; the last by name where there are several.

        Raises:
            MissingFileError: with one line that says where to get it and where to put it.
        """
        folder = manual_folder(dl_manager, cls.WANTED)
        found = [p for p in folder.glob(cls.ARCHIVES) if p.is_dir() or p.suffix == '.zip']
        if found:
            return max(found)
        if (folder / 'metadata.json').is_file():
            return folder
        raise MissingFileError(
            f'Manual directory {folder} holds no {cls.ARCHIVES}.zip: {cls.WANTED}'
        )


def manual_folder(dl_manager: tfds.download.DownloadManager, wanted: str) -> pathlib.Path:
    """Finds TFDS's folder for manual downloads.

    Args:
        dl_manager: knows the folder.
        wanted: where to get the data and where to put them, for errors.

    Raises:
        MissingFileError: with one line, if there is no such folder or nothing in it.
    """
    try:
        return pathlib.Path(dl_manager.manual_dir)
    except AssertionError as error:
        # TFDS says so of an empty folder too, and adds the instructions on lines of their own.
        reason = str(error).splitlines()[0].split('. ')[0]
        raise MissingFileError(f'{reason}: {wanted}') from None


@contextlib.contextmanager
def _shuffling_within(size: int) -> Iterator[None]:
    """Lets TFDS hold at most `size` bytes of records before it sorts them on disk."""
    before = shuffle.MAX_MEM_BUFFER_SIZE
    shuffle.MAX_MEM_BUFFER_SIZE = size
    try:
        yield
    finally:
        shuffle.MAX_MEM_BUFFER_SIZE = before
