"""The OCELOT data set: cell patches, each with the larger tissue patch around it."""

import pathlib
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds
from ocelot_jax.datasets import builder, features, pair_folder

_ARCHIVES = 'ocelot2023*'
_WANTED = (
    'get ocelot2023_v1.0.1.zip from https://zenodo.org/records/8417503 (access is granted on '
    'request) and put it there, zipped or unpacked'
)


class Builder(builder.PairBuilder):
    """Builds `ocelot` from the release's zip, or from the same unpacked."""

    # TFDS infers it from the top package, which is elsewhere in an editable install.
    pkg_dir_path = tfds.core.Path(__file__).parent
    VERSION = tfds.core.Version('1.0.0')
    RELEASE_NOTES = {'1.0.0': 'The release ocelot2023 v1.0.1.'}  # noqa: RUF012
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        'The data are given out on request at https://zenodo.org/records/8417503. Put '
        'ocelot2023_v1.0.1.zip into manual_dir, as it is or unpacked.'
    )

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=features.pair_features(),
            homepage='https://lunit-io.github.io/research/publications/ocelot',
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        folder = pair_folder.PairFolder(find_release(dl_manager))
        folder.validate()
        return {split: self._generate_examples(folder, split) for split in folder.splits}

    def _generate_examples(
        self, folder: pair_folder.PairFolder, split: str
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        return folder.encoded_examples(split)


def find_release(dl_manager: tfds.download.DownloadManager) -> pathlib.Path:
    """Find the release in TFDS's folder for manual downloads.

    Args:
        dl_manager: knows the folder.

    Returns:
        Path of the zip or of the unpacked folder; the last by name where there are several.

    Raises:
        FileNotFoundError: with one line that says where to get it and where to put it.

    """
    try:
        manual_dir = pathlib.Path(dl_manager.manual_dir)
    except AssertionError as error:
        # TFDS says so of an empty folder too, and adds the instructions on lines of their own.
        reason = str(error).splitlines()[0].split('. ')[0]
        raise FileNotFoundError(f'{reason}: {_WANTED}') from None
    found = [p for p in manual_dir.glob(_ARCHIVES) if p.is_dir() or p.suffix == '.zip']
    if found:
        return max(found)
    if (manual_dir / 'metadata.json').is_file():
        return manual_dir
    raise FileNotFoundError(f'Manual directory {manual_dir} holds no {_ARCHIVES}.zip: {_WANTED}')
