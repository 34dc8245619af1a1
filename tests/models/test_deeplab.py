"""The network against the golden file of segmentation_models_pytorch."""

import jax
import numpy as np
import pytest
from smp_weights import from_smp, smp_weights

from benchmarks import random_weights
from ocelot_jax.models import deeplab, resnet

PARTS = ('encoder', 'aspp', 'decoder')


@pytest.fixture(scope='module')
def golden(shared):
    return np.load(shared / 'goldens' / 'smp_deeplabv3plus_resnet34.npz')


@pytest.fixture(scope='module')
def weights(golden):
    return smp_weights(golden['names'], golden['shapes'], int(golden['seed']))


def test_meets_the_reference_network(golden, weights):
    rng = np.random.Generator(np.random.PCG64(int(golden['seed'])))
    image = rng.standard_normal((2, 96, 128, 3)).astype(np.float32)
    model = deeplab.DeepLabV3Plus(num_classes=3)

    @jax.jit
    def apply(variables):
        return model.apply(
            variables, image, train=False, capture_intermediates=True, mutable='intermediates'
        )

    logits, captured = apply(from_smp(weights))
    outputs = {part: captured['intermediates'][part]['__call__'][0] for part in PARTS}
    _, low, _, _, high = outputs['encoder']
    ours = outputs | {'low': low, 'high': high, 'logits': logits}
    for name in ('low', 'high', 'aspp', 'decoder', 'logits'):
        wanted = golden[name]
        error = np.abs(np.asarray(ours[name]) - wanted).max() / np.abs(wanted).max()
        assert error < 1e-4, f'{name}: {error:.2e}'


def test_rematerialisation_changes_memory_alone(monkeypatch):
    """The same losses, gradients and statistics, dropout included."""
    monkeypatch.setitem(resnet.VARIANTS, 'one block', resnet.Variant((1, 0, 0, 0)))
    image = np.random.default_rng(0).standard_normal((6, 32, 32, 3)).astype(np.float32)
    plain, remat = (deeplab.DeepLabV3Plus(2, 'one block', 0.2, remat=r) for r in (False, True))
    shapes = jax.eval_shape(lambda: plain.init(jax.random.key(0), image, train=False))
    names = jax.eval_shape(lambda: remat.init(jax.random.key(0), image, train=False))
    assert jax.tree.structure(shapes) == jax.tree.structure(names)
    variables = random_weights.draw(shapes)

    def differentiate(model):
        def loss(params):
            logits, updates = model.apply(
                variables | {'params': params},
                image,
                train=True,
                mutable=['batch_stats'],
                rngs={'dropout': jax.random.key(1)},
            )
            return (logits**2).mean(), updates

        grad = jax.value_and_grad(loss, has_aux=True)
        return jax.jit(grad)(variables['params'])

    for a, b in zip(
        *(jax.tree.leaves(differentiate(model)) for model in (plain, remat)), strict=True
    ):
        scale = np.abs(a).max()
        # batch statistics of six pooled pixels magnify rounding
        np.testing.assert_allclose(b, a, atol=1e-3 * scale + 1e-6)
