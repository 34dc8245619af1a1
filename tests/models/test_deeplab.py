"""The network against the golden file of segmentation_models_pytorch."""

import jax
import narrow
import numpy as np
import pytest
from smp_weights import smp_weights

from ocelot_jax.interop import pretrained
from ocelot_jax.models import deeplab


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
    logits, seams = jax.jit(lambda v, x: model.apply(v, x, train=False))(
        pretrained.from_smp(weights), image
    )
    ours = {**seams, 'high': seams['encoder'], 'logits': logits}
    for name in ('low', 'high', 'aspp', 'decoder', 'logits'):
        wanted = golden[name]
        error = np.abs(np.asarray(ours[name]) - wanted).max() / np.abs(wanted).max()
        assert error < 1e-4, f'{name}: {error:.2e}'


def test_weights_fill_the_initialised_tree(weights):
    model = deeplab.DeepLabV3Plus(num_classes=3)
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), np.float32)
    wanted = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
    loaded = pretrained.from_smp(weights)
    assert jax.tree.map(lambda a: a.shape, loaded) == jax.tree.map(lambda a: a.shape, wanted)


def test_names_the_missing_and_the_extra_tensor(weights):
    missing = {k: v for k, v in weights.items() if k != 'decoder.aspp.0.project.0.weight'}
    with pytest.raises(ValueError, match=r"'decoder\.aspp\.0\.project\.0\.weight' is missing"):
        pretrained.from_smp(missing)
    with pytest.raises(ValueError, match=r"'encoder\.fc\.weight' is of no layer"):
        pretrained.from_smp(weights | {'encoder.fc.weight': np.zeros((2, 2))})


def test_rematerialisation_changes_memory_alone():
    """The same losses, gradients and statistics, dropout included."""
    rng = np.random.default_rng(0)
    image = rng.standard_normal((2, 32, 32, 3)).astype(np.float32)
    plain, remat = (deeplab.DeepLabV3Plus(2, narrow.ENCODER, 0.2, remat=r) for r in (False, True))
    shapes = jax.eval_shape(lambda: plain.init(jax.random.key(0), image, train=False))
    names = jax.eval_shape(lambda: remat.init(jax.random.key(0), image, train=False))
    assert jax.tree.structure(shapes) == jax.tree.structure(names)
    variables = jax.tree.map(
        lambda leaf: np.abs(rng.standard_normal(leaf.shape)).astype(np.float32) / 10, shapes
    )

    def differentiate(model):
        def loss(params):
            (logits, _), updates = model.apply(
                variables | {'params': params},
                image,
                train=True,
                mutable=['batch_stats'],
                rngs={'dropout': jax.random.key(1)},
            )
            return (logits**2).mean(), updates

        grad = jax.value_and_grad(loss, has_aux=True)
        return jax.jit(grad, compiler_options=narrow.COMPILER_OPTIONS)(variables['params'])

    for a, b in zip(
        *(jax.tree.leaves(differentiate(model)) for model in (plain, remat)), strict=True
    ):
        scale = np.abs(a).max()
        np.testing.assert_allclose(b, a, atol=1e-4 * scale + 1e-7)
