"""TFDS builders, and the reader of folders in the same layout."""
