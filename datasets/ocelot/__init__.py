"""The OCELOT release as a TFDS data set."""
