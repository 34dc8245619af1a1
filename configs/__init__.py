"""Configurations: one small file per experiment, each with `get_config`."""
