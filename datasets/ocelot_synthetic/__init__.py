"""Synthetic cell-tissue pairs as a TFDS data set."""
