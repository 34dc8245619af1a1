"""TFDS's own checks of the builder, on the small data set in `dummy_data/`."""

import tensorflow_datasets as tfds
from ocelot_jax.datasets.ocelot import ocelot_dataset_builder


class OcelotTest(tfds.testing.DatasetBuilderTestCase):
    """Builds the dummy data in TFRecord and reads them back."""

    DATASET_CLASS = ocelot_dataset_builder.Builder
    SPLITS = {'train': 3, 'validation': 2, 'test': 1}  # noqa: RUF012
    EXAMPLE_DIR = ocelot_dataset_builder.Builder.pkg_dir_path / 'dummy_data'


if __name__ == '__main__':
    tfds.testing.test_main()
