"""The CARP data set: lung cancer stained for PD-L1, in OCELOT's layout."""

import tensorflow_datasets as tfds
from ocelot_jax.datasets import builder


class Builder(builder.PairFolderBuilder):
    """Builds `carp` from its owners' files, a zip or the same unpacked."""

    # TFDS infers it from the top package, which is elsewhere in an editable install.
    pkg_dir_path = tfds.core.Path(__file__).parent
    VERSION = tfds.core.Version('1.0.0')
    RELEASE_NOTES = {'1.0.0': 'First version.'}  # noqa: RUF012
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        'The data are internal to their owners, who put them into manual_dir as carp.zip or as '
        "folder carp, in OCELOT's layout with cells 1 = TC-, 2 = TC+."
    )
    CELL_CLASSES = ('TC-', 'TC+')
    HOMEPAGE = 'https://arxiv.org/abs/2303.13110'
    ARCHIVES = 'carp*'
    WANTED = (
        'the data are internal to their owners; if you have such data, put them there as carp.zip '
        "or as folder carp, in OCELOT's layout (see datasets/carp/README.md)"
    )
