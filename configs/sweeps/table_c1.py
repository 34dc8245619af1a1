"""Table C.1: other cell detectors beside Cell-only and Pred-to-inter-2."""

from typing import Any

from ocelot_jax.configs.sweeps import table5

MODELS = ('cell_only', 'unet', 'mfovce', 'pred_inter2')


def get_sweep() -> dict[str, Any]:
    """What `ocelot_jax.sweeping.search.Sweep` holds."""
    configs = tuple(f'configs/{model}.py' for model in MODELS)
    return {'configs': configs, 'axes': table5.AXES, 'repeats': 5}
