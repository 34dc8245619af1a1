"""Pairs of PD-L1 stained lung cancer as a TFDS data set."""
