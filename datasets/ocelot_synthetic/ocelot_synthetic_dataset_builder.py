"""Cell-tissue pairs drawn by a program, in the form of OCELOT."""

import dataclasses
import io
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from ocelot_jax.datasets import features
from ocelot_jax.datasets.builder import PairBuilder
from ocelot_jax.datasets.ocelot_synthetic import draw, tissue
from PIL import Image

from ocelot_jax.io import progress

_PAPER = tissue.Geometry(size=1024, cell_mpp=0.2)
_SMALL = tissue.Geometry(size=128, cell_mpp=0.5)


@dataclasses.dataclass
class SyntheticConfig(tfds.core.BuilderConfig):
    """A size of the synthetic data set.

    Attributes:
        geometry: sizes of the patches.
        pairs: number of pairs of the train, validation and test split.
        ambiguous_share: share of cells whose looks say nothing about their class.
        seed: of everything that is drawn.
    """

    geometry: tissue.Geometry = _PAPER
    pairs: tuple[int, int, int] = (40, 10, 10)
    ambiguous_share: float = 0.3
    seed: int = 2023


class Builder(PairBuilder):
    """The builder; it needs no download."""

    # TFDS would guess `ocelot_jax/datasets/...`, which an editable install does not have.
    pkg_dir_path = pathlib.Path(__file__).parent
    VERSION = tfds.core.Version('1.1.0')
    RELEASE_NOTES = {  # noqa: RUF012
        '1.1.0': 'Color tells cancer within a scene, hardly between scenes.',
        '1.0.0': 'First version.',
    }
    BUILDER_CONFIGS = [  # noqa: RUF012
        SyntheticConfig(
            name='paper',
            description='1024 x 1024 pixels at 0.2 and 0.8 um per pixel, as in the paper.',
            version=tfds.core.Version('1.2.0'),
            release_notes={
                '1.2.0': 'Color tells cancer within a scene, hardly between scenes.',
                '1.1.0': 'Another seed, nearer to Table 3.',
            },
            # Sixty pairs are too few for the shares of Table 3 to come out by themselves (2023 has
            # 82.5% of BC outside of CA, not 84.6%): of the forty seeds from 2023 on, this one
            # brings the three splits nearest.
            seed=2057,
        ),
        SyntheticConfig(
            name='small',
            description='128 x 128 pixels at 0.5 and 2.0 um per pixel, for a quick training.',
            geometry=_SMALL,
            pairs=(320, 64, 64),
        ),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        """Says what a pair holds."""
        return self.dataset_info_from_configs(
            features=features.pair_features(), homepage='https://arxiv.org/abs/2303.13110'
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        """Returns one generator per split."""
        del dl_manager
        counts = zip(draw.SPLITS, self.builder_config.pairs, strict=True)
        return {split: self._generate_examples(split, count) for split, count in counts}

    def _generate_examples(self, split: str, count: int) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yields the key and the record of each pair of a split."""
        config = self.builder_config
        for index in progress.track(range(count), f'drawing {split}', count, 'pairs'):
            record = draw.draw_pair(
                config.geometry, config.seed, split, index, config.ambiguous_share
            )
            images = {name: _jpeg(record[name]) for name in ('cell_image', 'tissue_image')}
            yield record['pair_id'], record | images


def _jpeg(image: np.ndarray) -> bytes:
    """Encodes an image [h, w, 3] uint8 as finely as slide scanners do."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, 'JPEG', quality=92, subsampling=0)
    return stream.getvalue()
