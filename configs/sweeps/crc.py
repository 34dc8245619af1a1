"""The nine models of Tables 5 and C.1 on small real pairs, three seeds each.

`--override=data.source=PATH` names the pairs, `--override=num_epochs=5` shortens it.
"""

from typing import Any

from ocelot_jax.configs.sweeps import table5

MODELS = (*table5.MODELS, 'unet', 'mfovce')


def get_sweep() -> dict[str, Any]:
    """What `ocelot_jax.sweeping.search.Sweep` holds."""
    configs = tuple(f'configs/crc.py:{model}' for model in MODELS)
    return {'configs': configs, 'axes': {}, 'repeats': 3}
