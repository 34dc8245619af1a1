"""The nine models of Tables 5 and C.1 on small synthetic pairs, three seeds each.

They show how a sweep becomes tables, not which model is best: the pairs are drawn, not stained.
`--override=num_epochs=1` shortens it.
"""

from typing import Any

from configs.sweeps import crc


def get_sweep() -> dict[str, Any]:
    """What `ocelot_jax.sweep.Sweep` holds."""
    configs = tuple(f'configs/demo.py:{model}' for model in crc.MODELS)
    return {'configs': configs, 'axes': {}, 'repeats': 3}
