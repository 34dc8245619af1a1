"""The losses against NumPy formulas."""

import functools

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ocelot_jax.data import targets
from ocelot_jax.io.errors import InputError
from ocelot_jax.training import losses

SHAPE = (4, 3, 5)
CLASSES = 3

NAMES = ('dice', 'cross_entropy', 'balanced_cross_entropy', 'focal', 'dice+cross_entropy')


@functools.cache
def on_labels(name):
    """The loss of a name, of labels, 255 where they are not known."""
    loss = losses.create(name)
    return jax.jit(lambda logits, labels: loss(logits, targets.one_hot(labels, CLASSES)))


@functools.cache
def value_and_grad(name):
    return jax.jit(jax.value_and_grad(on_labels(name)))


all_labels = hnp.arrays(np.int32, SHAPE, elements=st.sampled_from([0, 1, 2, 255]))
seeds = st.integers(0, 2**32 - 1)


def random_logits(seed):
    return 3 * np.random.default_rng(seed).standard_normal((*SHAPE, CLASSES), np.float32)


def numpy_loss(name, logits, labels):
    """Of the known pixels: the class's probability p, and which class it is.

    Dice is one minus the mean over classes of 2|A.B| / (|A| + |B|); cross-entropy the mean of
    -log p; the focal loss that of -(1 - p)^2 log p; balanced, the mean over the classes that are
    there of each class's mean.
    """
    known = labels != 255
    probs = np.exp(logits[known].astype(float))
    probs /= probs.sum(-1, keepdims=True)
    truth = [labels[known] == label for label in range(CLASSES)]
    costs = [-np.log(probs[held, label]) for label, held in enumerate(truth)]
    everything = np.concatenate(costs)
    match name:
        case 'dice':
            totals = [probs[:, label].sum() + held.sum() for label, held in enumerate(truth)]
            parts = [2 * probs[held, label].sum() for label, held in enumerate(truth)]
            return 1 - np.mean([p / t if t else 0 for p, t in zip(parts, totals, strict=True)])
        case 'dice+cross_entropy':
            return sum(numpy_loss(part, logits, labels) for part in name.split('+'))
        case 'balanced_cross_entropy':
            return np.mean([part.mean() for part in costs if len(part)] or [0])
        case 'focal':
            everything = (1 - np.exp(-everything)) ** 2 * everything
    return everything.mean() if len(everything) else 0


@pytest.mark.parametrize('name', NAMES)
@settings(deadline=None, max_examples=40)
@given(seeds, all_labels)
def test_is_numpys(name, seed, labels):
    logits = random_logits(seed)
    wanted = numpy_loss(name, logits, labels)
    np.testing.assert_allclose(on_labels(name)(logits, labels), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('name', NAMES)
@settings(deadline=None, max_examples=10)
@given(seeds, all_labels)
def test_unknown_pixels_count_for_nothing(name, seed, labels):
    logits = random_logits(seed)
    unknown = labels == 255
    value, grad = value_and_grad(name)(logits, labels)
    np.testing.assert_array_equal(grad[unknown], 0)
    other = np.where(unknown[..., None], random_logits(seed + 1), logits)
    np.testing.assert_array_equal(on_labels(name)(other, labels), value)


@pytest.mark.parametrize('name', NAMES)
def test_known_pixels_count(name):
    labels = np.random.default_rng(0).integers(0, CLASSES, SHAPE, np.int32)
    _, grad = value_and_grad(name)(random_logits(0), labels)
    assert (np.abs(grad).max(-1) > 0).all()


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('unknown', [0, 0.5])
def test_perfect_prediction(name, unknown):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, CLASSES, SHAPE, np.int32)
    logits = 30 * np.eye(CLASSES, dtype=np.float32)[labels]
    wrong = 30 * np.eye(CLASSES, dtype=np.float32)[(labels + 1) % CLASSES]
    labels[rng.random(SHAPE) < unknown] = 255
    assert on_labels(name)(logits, labels) < 1e-5
    assert on_labels(name)(wrong, labels) > 1 - 1e-5


@pytest.mark.parametrize('name', NAMES)
def test_nothing_known_is_no_nan(name):
    value, grad = value_and_grad(name)(random_logits(0), np.full(SHAPE, 255, np.int32))
    assert value == ('dice' in name)
    assert (grad == 0).all()


@pytest.mark.parametrize('name', NAMES)
def test_soft_truth_is_between_the_hard_ones(name):
    """All but Dice's denominators are linear in the truth; of one pixel Dice's is so, too."""
    logits = random_logits(4)[:1, :1, :1]
    hard = np.eye(CLASSES, dtype=np.float32)[:, None, None, None]
    loss = losses.create(name)
    first, second = loss(logits, hard[0]), loss(logits, hard[1])
    middle = loss(logits, (hard[0] + hard[1]) / 2)
    assert min(first, second) <= middle <= max(first, second)


@pytest.mark.parametrize('name', NAMES)
def test_a_batch_on_several_devices_is_one_batch(name):
    """The value is that of the whole batch; so is the mean of the devices' gradients."""
    logits = random_logits(2)
    labels = np.random.default_rng(2).choice([0, 1, 255], SHAPE).astype(np.int32)
    # class 2 is on the second device alone
    labels[2:, 0] = 2
    value, grad = value_and_grad(name)(logits, labels)
    loss = losses.create(name, 'devices')

    def on_device(scale, logits, labels):
        return loss(scale * logits, targets.one_hot(labels, CLASSES))

    split = lambda x: x.reshape(2, 2, *x.shape[1:])
    step = jax.vmap(jax.value_and_grad(on_device), in_axes=(None, 0, 0), axis_name='devices')
    values, grads = jax.jit(step)(1.0, split(logits), split(labels))
    np.testing.assert_allclose(values, [value, value], rtol=1e-6)
    # d/ds of loss(s * logits) at 1
    np.testing.assert_allclose(grads.mean(), np.vdot(grad, logits), rtol=1e-4)
    alone = [on_labels(name)(logits[part], labels[part]) for part in np.split(np.arange(4), 2)]
    assert abs(np.mean(alone) - value) > 1e-3


def test_a_name_that_no_loss_has():
    with pytest.raises(InputError, match=r"config\.loss: 'dise'; want one of dice, "):
        losses.create('cross_entropy+dise')


def test_truth_without_classes_is_refused():
    with pytest.raises(AssertionError):
        losses.dice_loss(random_logits(0), np.zeros(SHAPE, np.float32))
