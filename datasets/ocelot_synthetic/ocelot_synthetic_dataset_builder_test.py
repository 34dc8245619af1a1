"""TFDS's own checks of the builder, on three pairs of each size."""

import dataclasses

import tensorflow_datasets as tfds
from ocelot_jax.datasets.ocelot_synthetic import ocelot_synthetic_dataset_builder as synthetic


class OcelotSyntheticTest(tfds.testing.DatasetBuilderTestCase):
    """Builds three pairs in TFRecord and reads them back."""

    DATASET_CLASS = synthetic.Builder
    SPLITS = {'train': 1, 'validation': 1, 'test': 1}  # noqa: RUF012
    BUILDER_CONFIG_NAMES_TO_TEST = [  # noqa: RUF012
        dataclasses.replace(config, name=f'few_{config.name}', pairs=(1, 1, 1))
        for config in synthetic.Builder.BUILDER_CONFIGS
    ]
    # TFDS wants a folder of examples to exist; nothing is read from it.
    EXAMPLE_DIR = synthetic.Builder.pkg_dir_path


if __name__ == '__main__':
    tfds.testing.test_main()
