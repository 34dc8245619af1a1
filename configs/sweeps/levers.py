"""What each change of the training gives by itself: levers, cross-validated by slides.

Every slide of the training and validation splits is tested once a seed by a run that never saw it;
the data set's own test split has no part in it. `configs/sweeps/levers.py` is on OCELOT, `:crc`
and `:consep` on small pairs, `:small` on both; what follows a comma are the levers to try, instead
of all: `configs/sweeps/levers.py:crc,Gaussian target,Color jitter`. `ocelot_jax.report` shows what
each gives.
"""

import operator
from typing import Any

from ocelot_jax.configs import default, pred_inter2_best

from ocelot_jax.io.errors import InputError

FOLDS, SEEDS = 5, 3

CONFIGS = {
    '': ('configs/pred_inter2.py',),
    'crc': ('configs/crc.py:pred_inter2',),
    'consep': ('configs/consep.py:pred_inter2',),
    'small': ('configs/crc.py:pred_inter2', 'configs/consep.py:pred_inter2'),
}

_PAPER = default.get_config()

# By name what each changes; on a configuration that has these values already it is not run.
LEVERS: dict[str, dict[str, Any]] = {
    "The paper's values": {
        name: operator.attrgetter(name)(_PAPER) for name in pred_inter2_best.RECIPE
    },
    'All that paid': pred_inter2_best.RECIPE,
    # SoftCTM's targets
    'Gaussian target': {'target.profile': 'gaussian'},
    'Dice and cross-entropy': {'loss': 'dice+cross_entropy'},
    'Balanced cross-entropy': {'loss': 'balanced_cross_entropy'},
    'Dice and focal loss': {'loss': 'dice+focal'},
    # amounts of hematoxylin and eosin vary (Tellez et al. 2019, arXiv:1902.06543)
    'Stain jitter': {'augment.stain_probability': 0.5},
    'Strong stain jitter': {'augment.stain_probability': 0.8, 'augment.stain': 0.2},
    'Scale jitter': {'augment.scale_probability': 0.5},
    # scheduled sampling (Bengio et al. 2015, arXiv:1506.03099)
    'Told the tissue at first': {'told_tissue.probability': 1.0},
    'Noise on the context': {'model.context_noise': 1.0},
    'One encoder for both branches': {'model.tied_encoders': True},
    # weights averaged over the last steps (Izmailov et al. 2018, arXiv:1803.05407)
    'Running average': {'optimizer.average_decay': 0.99},
    'No running average': {'optimizer.average_decay': 0.0},
    'Learning rate 5e-4': {'optimizer.learning_rate': 5e-4},
    'Learning rate 1e-3': {'optimizer.learning_rate': 1e-3},
    'Learning rate 2e-3': {'optimizer.learning_rate': 2e-3},
    'Learning rate 4e-3': {'optimizer.learning_rate': 4e-3},
    'Warm-up of 3 epochs': {'optimizer.warmup_epochs': 3.0},
    'Batches of 4': {'data.batch_size': 4},
    'Batches of 16': {'data.batch_size': 16},
    'Color jitter': {'augment.color_probability': 0.5},
    'Bold color jitter': {
        'augment.color_probability': 0.8,
        'augment.brightness': 0.25,
        'augment.contrast': 0.25,
        'augment.saturation': 0.25,
        'augment.hue': 0.1,
    },
    'Blur and noise': {'augment.blur_probability': 0.5, 'augment.noise_probability': 0.5},
    # the paper tries 0.1, 0.3 and 0.5 (Appendix B)
    'Spatial dropout 0.1': {'model.cell_dropout': 0.1, 'model.tissue_dropout': 0.1},
    'Spatial dropout 0.3': {'model.cell_dropout': 0.3, 'model.tissue_dropout': 0.3},
    'No spatial dropout': {'model.cell_dropout': 0.0, 'model.tissue_dropout': 0.0},
    'No ASPP dropout': {'model.aspp_dropout': 0.0},
    'Twice the tissue loss': {'tissue_loss_weight': 2.0},
    'No gradient through the context': {'model.context_gradient': False},
    # predictions averaged over the square's symmetries
    'Test-time augmentation': {'test_time_augmentation': True},
}


def get_sweep(chosen: str = '') -> dict[str, Any]:
    """What `ocelot_jax.sweeping.search.Sweep` holds."""
    data, *names = chosen.split(',')
    for name, known in [(data, [*CONFIGS]), *((name, [*LEVERS]) for name in names)]:
        if name not in known:
            raise InputError(f'{name!r} is none of {", ".join(filter(None, known))}')
    return {
        'configs': CONFIGS[data],
        'overrides': {'data.folds': FOLDS},
        # all folds of a seed before the next seed, so that early results are of all slides
        'axes': {'seed': tuple(range(SEEDS)), 'data.fold': tuple(range(FOLDS))},
        'variants': {name: LEVERS[name] for name in names or LEVERS},
    }
