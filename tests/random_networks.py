"""Small networks of every kind, whose variables are all drawn at random."""

import flax.traverse_util
import numpy as np
from ocelot_jax.configs import pred_inter2

from benchmarks import random_weights
from ocelot_jax.models import ENCODERS, factory, resnet

SMALL_ENCODERS = {
    'resnet10': resnet.Variant((1, 1, 1, 1)),
    'resnet14': resnet.Variant((1, 1, 1, 1), bottleneck=True),
}
SHARING = {'encoder': 'both', 'aspp': 't2c', 'decoder': 'c2t'}
KINDS = {
    'pred-to-inter-2': {},
    'pred-to-input': {'seam': 'input', 'encoder_name': 'resnet14'},
    'leaking': {'context': 'label', 'seam': 'encoder'},
    'sharing': {'context': 'features', 'sharing': SHARING},
    'unet, pred-to-output': {'architecture': 'unet', 'seam': 'decoder'},
    'unet, cell-only': {'architecture': 'unet', 'context': 'none'},
    'mfovce': {'architecture': 'mfovce', 'context': 'none'},
}
SIZE = 64


def add_encoders(monkeypatch):
    """Makes the small encoders known."""
    for name, variant in SMALL_ENCODERS.items():
        monkeypatch.setitem(ENCODERS, name, variant)


def create_config(kind, **changes):
    """The configuration of a kind of network; `changes` are fields, dots as double underscores."""
    config = pred_inter2.get_config()
    config.model.encoder_name = 'resnet10'
    config.model.update(KINDS[kind])
    config.update_from_flattened_dict({k.replace('__', '.'): v for k, v in changes.items()})
    return config


def random_variables(model, seed=0):
    """Weights that are all different, with which all inputs matter."""
    variables = random_weights.draw(factory.abstract_variables(model), seed, gain=2)
    if getattr(model, 'context', 'none') in ('label', 'prediction'):
        _amplify_context(model, variables)
    return variables


def _amplify_context(model, variables):
    """Makes the few channels that a seam adds weigh more than all the others."""
    plain = factory.abstract_variables(model.clone(context='none'))
    plain = flax.traverse_util.flatten_dict(plain['params']['cell'])
    for path, kernel in flax.traverse_util.flatten_dict(variables['params']['cell']).items():
        added = kernel.shape[-2] - plain[path].shape[-2] if path[-1] == 'kernel' else 0
        if added and path[-2] != 'depthwise':
            # the decoder puts its detail behind them
            start = 256 if 'fuse' in path else kernel.shape[-2] - added
            kernel[..., start : start + added, :] *= 4 * np.sqrt(kernel.shape[-2] / added)


def random_batch(pairs=3, seed=0):
    """Pairs whose cell patches lie in one tissue patch, at places between the pixels."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (1, SIZE // 16, SIZE // 16, 3), np.uint8)
    tissue = blocks.repeat(16, 1).repeat(16, 2)
    mask = rng.choice(np.uint8([0, 1, 255]), (1, SIZE, SIZE))
    return {
        'cell_image': rng.integers(0, 256, (pairs, SIZE, SIZE, 3), np.uint8),
        'tissue_image': np.repeat(tissue, pairs, 0),
        'tissue_mask': np.repeat(mask, pairs, 0),
        'center': rng.uniform(0.1, 0.9, (pairs, 2)).astype(np.float32),
        'cell_mpp': np.full(pairs, 0.2, np.float32),
        'tissue_mpp': np.linspace(0.5, 1.1, pairs, dtype=np.float32),
    }
