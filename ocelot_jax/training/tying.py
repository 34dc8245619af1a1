"""One encoder for both branches.

Both see the same tissue, at two magnifications. With equal first weights and equal gradients the
two encoders stay one and the same, each with batch statistics of its own magnification; nothing
changes for who applies the network.
"""

from collections.abc import Sequence
from typing import Any

import jax

from ocelot_jax.io.errors import InputError

_BRANCHES = ('cell', 'tissue')


def start_alike(params: dict[str, Any], multipliers: Sequence[float]) -> dict[str, Any]:
    """Gives the tissue branch the encoder of the cell branch.

    Args:
        params: of a model.
        multipliers: of the learning rates of both encoders, which must move alike.

    Raises:
        InputError: the model has no two encoders that are alike, or they would not stay so.
    """
    encoders = [params.get(branch, {}).get('encoder') for branch in _BRANCHES]
    shapes = [jax.tree.map(lambda x: x.shape, encoder) for encoder in encoders]
    if shapes[0] is None or shapes[0] != shapes[1]:
        raise InputError(
            'config.model.tied_encoders: True; want a model of two branches whose encoders are '
            'alike: nothing injected at the input'
        )
    if len(set(multipliers)) > 1:
        cell, tissue = multipliers
        raise InputError(
            f'config.model.tied_encoders: True, but the learning rates are multiplied by {cell:g} '
            f'(cell) and {tissue:g} (tissue); want config.optimizer.cell_lr_multiplier 1, and '
            'encoder_lr_multiplier 1 or both branches in config.model.pretrained_branches'
        )
    return {**params, 'tissue': {**params['tissue'], 'encoder': encoders[0]}}


def mean_gradients(grads: dict[str, Any]) -> dict[str, Any]:
    """Gives the encoders of both branches the mean of their gradients."""
    both = [grads[branch]['encoder'] for branch in _BRANCHES]
    mean = jax.tree.map(lambda cell, tissue: (cell + tissue) / 2, *both)
    return {**grads, **{b: {**grads[b], 'encoder': mean} for b in _BRANCHES}}
