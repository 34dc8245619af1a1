"""The TIGER data set: cell patches with lymphocytes, each with the tissue patch around it."""

import functools
import itertools
import pathlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Union

import tensorflow_datasets as tfds
from ocelot_jax.datasets import builder, features
from ocelot_jax.datasets.tiger import plan, records, release, splits

from ocelot_jax.io import progress
from ocelot_jax.io.errors import InputError, MissingFileError

if TYPE_CHECKING:
    import apache_beam as beam

_WANTED = (
    'get wsirois/roi-level-annotations of s3://tiger-training (AWS open data, no account needed: '
    'aws s3 cp --recursive --no-sign-request) and put it there as tiger/wsirois/'
    'roi-level-annotations'
)


class Builder(builder.PairBuilder):
    """Builds `tiger` from the challenge's regions of interest by Algorithms 1 and 2.

    Given a runner or options of Apache Beam (`tfds build --beam_pipeline_options=...`), the
    regions are spread over its workers; otherwise they are read here, one after the other.
    """

    # TFDS infers it from the top package, which is elsewhere in an editable install.
    pkg_dir_path = tfds.core.Path(__file__).parent
    VERSION = tfds.core.Version('1.0.0')
    RELEASE_NOTES = {'1.0.0': 'The pre-processing of the paper, Appendix F.'}  # noqa: RUF012
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        'The data are AWS open data: aws s3 cp --recursive --no-sign-request '
        's3://tiger-training/wsirois/roi-level-annotations '
        'manual_dir/tiger/wsirois/roi-level-annotations'
    )

    _on_beam = False

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=features.pair_features(cell_classes=('LC',), image_format='png'),
            homepage='https://tiger.grand-challenge.org/Data',
        )

    def _download_and_prepare(
        self,
        dl_manager: tfds.download.DownloadManager,
        download_config: tfds.download.DownloadConfig,
    ) -> None:
        self._on_beam = bool(download_config.beam_runner or download_config.beam_options)
        super()._download_and_prepare(dl_manager, download_config)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        root = find_data(dl_manager)
        regions = plan.plan(release.read_rois(root))
        if not regions:
            raise InputError(
                f'{root}: no region is large enough for a pair; want cell ROIs of 128 x 128 with '
                '512 x 512 around them, or regions larger than 1024 x 1024'
            )
        return {
            split: self._generate_examples(root, own)
            for split, own in splits.assign_splits(regions).items()
        }

    def _find_source(self, dl_manager: tfds.download.DownloadManager) -> None:
        find_data(dl_manager)

    def _digest(self, dl_manager: tfds.download.DownloadManager) -> str:
        return release.digest(find_data(dl_manager))

    def _generate_examples(
        self, root: pathlib.Path, regions: Sequence[plan.Region]
    ) -> Union[Iterator[tuple[str, dict[str, Any]]], 'beam.PTransform[Any, Any]']:
        examples = functools.partial(records.region_examples, root=root)
        if self._on_beam:
            import apache_beam as beam

            return beam.Create(regions) | beam.Reshuffle() | beam.FlatMap(examples)
        shown = progress.track(regions, 'preparing', len(regions), 'regions')
        return itertools.chain.from_iterable(map(examples, shown))


def find_data(dl_manager: tfds.download.DownloadManager) -> pathlib.Path:
    """Finds the folder `roi-level-annotations` in TFDS's folder for manual downloads.

    Args:
        dl_manager: knows the folder.

    Raises:
        MissingFileError: with one line that says where to get the data and where to put them.
    """
    folder = builder.manual_folder(dl_manager, _WANTED)
    root = release.find_root(folder)
    if root is None:
        raise MissingFileError(f'Manual directory {folder} holds no {release.COCO}: {_WANTED}')
    return root
