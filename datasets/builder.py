"""What TFDS's builders lack for a data set that lies in two formats side by side."""

from collections.abc import Sequence
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core import dataset_info


class PairBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A builder that finds its ArrayRecord files beside its TFRecord files."""

    def as_data_source(self, *args: Any, **kwargs: Any) -> Sequence[Any]:
        """Give random access, as `tfds.core.DatasetBuilder.as_data_source` does.

        A builder made from its class, rather than from the prepared files, forgets the formats
        that were added after the first.
        """
        if self.is_prepared():
            proto = dataset_info.read_proto_from_builder_dir(self.data_dir)
            for name in proto.alternative_file_formats:
                added = tfds.core.FileFormat(name)
                if added not in self.info.available_file_formats():
                    self.info.add_alternative_file_format(added)
        return super().as_data_source(*args, **kwargs)
