"""Flags that say how to predict."""

from typing import Any

from absl import flags

from ocelot_jax.cli import parsing, sharing


def read_flags() -> dict[str, Any]:
    """Reads those of `predict` that are text and more: by the fields of `prediction.Options`.

    Raises:
        InputError: one is not what it should be.
    """
    values = flags.FLAGS
    return {
        'tissue': parsing.parse_path(values.tissue),
        'detection': parsing.parse_path(values.detection),
        'mpp': parsing.parse_mpp(values.mpp),
        'center': parsing.parse_numbers('center', values.center, 'x,y'),
        'patches': parsing.parse_patches(values.patches),
        'split': parsing.parse_split(values.split),
        'workers': sharing.read_workers(),
        'shard': sharing.read_shard(),
    }
