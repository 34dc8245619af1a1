"""What TFDS's builders lack for a data set that lies in two formats side by side."""

from collections.abc import Sequence
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core import dataset_info


class PairBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
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
        """Give random access, as `tfds.core.DatasetBuilder.as_data_source` does."""
        self._add_formats()
        return super().as_data_source(*args, **kwargs)

    def _add_formats(self):
        """Read which formats the prepared files tell of, if there are any by now."""
        if not self.has_info():
            return
        proto = dataset_info.read_proto_from_builder_dir(self.data_dir)
        for name in proto.alternative_file_formats:
            added = tfds.core.FileFormat(name)
            if added not in self.info.available_file_formats():
                self.info.add_alternative_file_format(added)
