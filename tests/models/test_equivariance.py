"""Turning a pair turns what is found in it, so that augmentation keeps both patches aligned."""

import itertools

import jax
import narrow
import numpy as np
import pytest
from random_networks import random_variables

from ocelot_jax.models import CellTissue

# Strided layers look at every other pixel from the first: on an odd number of pixels, at each
# stride, the last is among them, and looking from the other side is the same.
SIZE = 65
ORIENTATIONS = list(itertools.product([False, True], range(4)))
MODELS = {
    'pred_input': {'context': 'prediction', 'seam': 'input'},
    'feature_sharing': {
        'context': 'features',
        'sharing': {'encoder': 'both', 'aspp': 'both', 'decoder': 'both'},
    },
}


def turn(x, flip, turns):
    """An image or a map [1,H,W,...], mirrored and turned by NumPy."""
    x = x[:, :, ::-1] if flip else x
    return np.rot90(x, turns, (1, 2))


def turn_center(center, flip, turns):
    x, y = center[0]
    if flip:
        x = 1 - x
    for _ in range(turns):  # counter-clockwise: what was right is now up
        x, y = y, 1 - x
    return np.float32([[x, y]])


def make_batch():
    rng = np.random.default_rng(0)
    image = lambda: rng.standard_normal((1, SIZE, SIZE, 3)).astype(np.float32)
    return {
        'cell_image': image(),
        'tissue_image': image(),
        'center': np.float32([[0.3, 0.55]]),
        'cell_mpp': np.full(1, 0.2, np.float32),
        'tissue_mpp': np.full(1, 0.8, np.float32),
    }


def symmetric_variables(model):
    """Random weights, each kernel the mean of itself in all eight directions."""

    def symmetrise(path, leaf):
        if path[-1].key == 'scale':  # below 1, lest the residual blocks add up
            return 0.5 * leaf
        if path[-1].key != 'kernel' or leaf.shape[0] not in (3, 7):
            return leaf
        spatial = [np.rot90(k, turns, (0, 1)) for k in (leaf, leaf[::-1]) for turns in range(4)]
        return np.mean(spatial, 0) * np.float32(np.sqrt(8))

    return jax.tree_util.tree_map_with_path(symmetrise, random_variables(model, seed=1))


@pytest.mark.parametrize('name', MODELS)
def test_turned_pairs_give_turned_maps(name):
    model = CellTissue(2, 2, encoder_name=narrow.ENCODER, **MODELS[name])
    batch = make_batch()
    views = []
    for flip, turns in ORIENTATIONS:
        images = {k: turn(batch[k], flip, turns) for k in ('cell_image', 'tissue_image')}
        views.append(batch | images | {'center': turn_center(batch['center'], flip, turns)})
    stacked = {k: np.concatenate([view[k] for view in views]) for k in batch}
    # the last pair is turned, but its center is not: it must not come out the same
    stacked['center'][-1] = batch['center']
    apply = jax.jit(
        lambda variables, batch: model.apply(variables, batch, train=False),
    )
    outputs = apply(symmetric_variables(model), stacked)
    for output in ('cell_logits', 'tissue_logits'):
        maps = np.asarray(outputs[output])
        tolerance = 1e-4 * np.abs(maps).max()
        for i, orientation in enumerate(ORIENTATIONS[:-1]):
            wanted = turn(maps[:1], *orientation)[0]
            np.testing.assert_allclose(maps[i], wanted, atol=tolerance, err_msg=str(orientation))
    moved = np.asarray(outputs['cell_logits'])
    wanted = turn(moved[:1], *ORIENTATIONS[-1])[0]
    assert np.abs(moved[-1] - wanted).max() > 10 * 1e-4 * np.abs(moved).max()
