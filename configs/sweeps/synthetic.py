"""The nine models of Tables 5 and C.1 on small synthetic pairs, three seeds each.

The pairs are drawn such that tissue tells what cells alone do not; they do not show which model is
best on stained slides. The README's table is of `--override=num_epochs=8` and
`--override=model.encoder_name=resnet18`.
"""

from typing import Any

from ocelot_jax.configs.sweeps import crc


def get_sweep() -> dict[str, Any]:
    """What `ocelot_jax.sweeping.search.Sweep` holds."""
    configs = tuple(f'configs/demo.py:{model}' for model in crc.MODELS)
    return {'configs': configs, 'axes': {}, 'repeats': 3}
