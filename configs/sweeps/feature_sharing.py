"""The 64 candidates of Sec. 5.3: at each of three seams, which way features are shared."""

from typing import Any

DIRECTIONS = ('none', 'c2t', 't2c', 'both')


def get_sweep() -> dict[str, Any]:
    """What `ocelot_jax.sweeping.search.Sweep` holds."""
    seams = ('encoder', 'aspp', 'decoder')
    return {
        'configs': ('configs/feature_sharing.py',),
        'axes': {f'model.sharing.{seam}': DIRECTIONS for seam in seams},
        'repeats': 5,
    }
