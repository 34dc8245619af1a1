"""The public training data of the TIGER challenge as a TFDS data set."""
