"""Tables 7 and D.1: what the large field of view and what the tissue labels give."""

from typing import Any

from ocelot_jax.configs.sweeps import table5

MODELS = (
    'cell_only',
    *('ablation_pred_inter2_label', 'ablation_pred_inter2_fov', 'pred_inter2'),
    *('ablation_feature_sharing_label', 'ablation_feature_sharing_fov', 'feature_sharing'),
)


def get_sweep() -> dict[str, Any]:
    """What `ocelot_jax.sweeping.search.Sweep` holds."""
    configs = tuple(f'configs/{model}.py' for model in MODELS)
    return {'configs': configs, 'axes': table5.AXES, 'repeats': 5}
