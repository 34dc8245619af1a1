"""Tables 5 and 6: every model of the paper on one of its data sets, searched as in Appendix B.

`configs/sweeps/table5.py:tiger` and `:carp` are those on the other two.
"""

from typing import Any

MODELS = (
    *('cell_only', 'pred_input', 'pred_inter1', 'pred_inter2', 'pred_output'),
    *('feature_sharing', 'leaking'),
)
# within the ranges of Sec. 6.2 and Appendix B
AXES = {
    'optimizer.learning_rate': (5e-5, 2e-4, 6e-4, 2e-3),
    'model.cell_dropout': (0.1, 0.3, 0.5),
    'optimizer.cell_lr_multiplier': (1.0, 0.5),
}


def get_sweep(data: str = '') -> dict[str, Any]:
    """What `ocelot_jax.sweeping.search.Sweep` holds."""
    files = (f'{data}.py:{model}' if data else f'{model}.py' for model in MODELS)
    configs = tuple(f'configs/{file}' for file in files)
    return {'configs': configs, 'axes': AXES, 'repeats': 5}
