"""TFDS's own checks of the builder, on the small data set in `dummy_data/`."""

import tensorflow_datasets as tfds
from ocelot_jax.datasets.tiger import tiger_dataset_builder


class TigerTest(tfds.testing.DatasetBuilderTestCase):
    """Builds the dummy data in TFRecord and reads them back."""

    DATASET_CLASS = tiger_dataset_builder.Builder
    SPLITS = {'train': 1, 'validation': 1, 'test': 65}  # noqa: RUF012
    EXAMPLE_DIR = tiger_dataset_builder.Builder.pkg_dir_path / 'dummy_data'


if __name__ == '__main__':
    tfds.testing.test_main()
