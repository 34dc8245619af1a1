"""The OCELOT data set: cell patches, each with the larger tissue patch around it."""

import tensorflow_datasets as tfds
from ocelot_jax.datasets import builder


class Builder(builder.PairFolderBuilder):
    """Builds `ocelot` from the release's zip, or from the same unpacked."""

    # TFDS infers it from the top package, which is elsewhere in an editable install.
    pkg_dir_path = tfds.core.Path(__file__).parent
    VERSION = tfds.core.Version('1.0.0')
    RELEASE_NOTES = {'1.0.0': 'The release ocelot2023 v1.0.1.'}  # noqa: RUF012
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        'The data are given out on request at https://zenodo.org/records/8417503. Put '
        'ocelot2023_v1.0.1.zip into manual_dir, as it is or unpacked.'
    )
    CELL_CLASSES = ('BC', 'TC')
    HOMEPAGE = 'https://lunit-io.github.io/research/publications/ocelot'
    ARCHIVES = 'ocelot2023*'
    WANTED = (
        'get ocelot2023_v1.0.1.zip from https://zenodo.org/records/8417503 (access is granted on '
        'request) and put it there, zipped or unpacked'
    )


find_release = Builder.find_release
