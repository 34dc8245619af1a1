"""The loss of a training step: which truth it compares with, and where."""

import jax
import numpy as np
import pytest
from ocelot_jax.configs import default

from ocelot_jax.data import targets
from ocelot_jax.training import losses
from ocelot_jax.training.state import AXIS
from ocelot_jax.training.step import create_loss

SIDE, MPP = 16, 0.5


class Fixed:
    """A network that gives the same logits, whatever it sees."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.cell = rng.normal(size=(2, SIDE, SIDE, 3)).astype(np.float32)
        self.tissue = rng.normal(size=(2, SIDE, SIDE, 2)).astype(np.float32)

    def apply(self, variables, inputs, **options):
        return {'cell_logits': self.cell, 'tissue_logits': self.tissue}, {'batch_stats': {}}


def draw_batch(**more):
    """Two pairs with three cells each."""
    rng = np.random.default_rng(1)
    image = lambda: rng.integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
    return {
        'cell_image': image(),
        'tissue_image': image(),
        'tissue_mask': rng.choice([0, 1, 255], (2, SIDE, SIDE)).astype(np.uint8),
        'center': np.full((2, 2), 0.5, np.float32),
        'cell_points': rng.uniform(2, SIDE - 2, (2, 3, 2)).astype(np.float32),
        'cell_labels': np.array([[1, 2, 2], [2, 1, 0]], np.int32),
        'cell_mpp': np.full(2, MPP, np.float32),
        'tissue_mpp': np.full(2, 4 * MPP, np.float32),
        **more,
    }


def compute(model, batch, **changes):
    """The parts of the loss on one device."""
    config = default.get_config()
    config.update_from_flattened_dict(changes)
    loss = create_loss(config, model, MPP)
    on_device = lambda batch: loss({}, {}, batch, jax.random.key(0))[1][0]
    parts = jax.vmap(on_device, axis_name=AXIS)(jax.tree.map(lambda x: x[None], batch))
    return {name: float(value[0]) for name, value in parts.items()}


@pytest.mark.parametrize('profile', [*targets.REACHES])
def test_cells_are_drawn_by_the_profile_of_the_configuration(profile):
    model, batch = Fixed(), draw_batch()
    drawn = targets.cell_probabilities(
        batch['cell_points'], batch['cell_labels'], np.full(2, 1.0 / MPP, np.float32),
        (SIDE, SIDE), num_classes=3, max_radius=2, profile=profile,
    )  # fmt: skip
    found = compute(model, batch, **{'target.profile': profile, 'target.disk_radius_um': 1.0})
    assert found['cell_loss'] == pytest.approx(
        float(losses.dice_loss(model.cell, drawn)), rel=1e-5
    )


def test_nothing_is_learned_of_cells_where_they_are_not_known():
    known = np.zeros((2, SIDE, SIDE), bool)
    known[:, :, : SIDE // 2] = True
    model, other = Fixed(), Fixed()
    other.cell[~known] = 7.0
    batch = draw_batch(cell_known=known)
    first, second = (compute(each, batch)['cell_loss'] for each in (model, other))
    assert first == second
    assert first != compute(model, draw_batch())['cell_loss']
    other.cell[0, 3, 3] = 7.0, 0.0, -7.0
    assert compute(other, batch)['cell_loss'] != second


@pytest.mark.parametrize('weight', [0.0, 1.0, 2.5])
def test_the_tissue_loss_counts_by_its_weight(weight):
    parts = compute(Fixed(), draw_batch(), tissue_loss_weight=weight)
    assert parts['tissue_loss'] > 0
    assert parts['loss'] == pytest.approx(parts['cell_loss'] + weight * parts['tissue_loss'])


def test_of_a_model_without_a_tissue_branch_there_is_no_tissue_loss():
    model = Fixed()
    model.tissue = None
    parts = compute(model, draw_batch())
    assert parts == {'loss': parts['cell_loss'], 'cell_loss': parts['cell_loss']}
