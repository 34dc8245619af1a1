"""The Dice loss against a NumPy formula."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ocelot_jax.training import losses

SHAPE = (4, 3, 5)
CLASSES = 3

dice_loss = jax.jit(losses.dice_loss)
value_and_grad = jax.jit(jax.value_and_grad(losses.dice_loss))

all_labels = hnp.arrays(np.int32, SHAPE, elements=st.sampled_from([0, 1, 2, 255]))
seeds = st.integers(0, 2**32 - 1)


def random_logits(seed):
    return 3 * np.random.default_rng(seed).standard_normal((*SHAPE, CLASSES), np.float32)


def numpy_dice_loss(logits, labels):
    """One minus the mean over classes of 2|A.B| / (|A| + |B|), over all known pixels."""
    known = labels != 255
    probs = np.exp(logits[known].astype(float))
    probs /= probs.sum(-1, keepdims=True)
    scores = []
    for label in range(CLASSES):
        truth = labels[known] == label
        total = probs[:, label].sum() + truth.sum()
        scores.append(2 * probs[truth, label].sum() / total if total else 0)
    return 1 - np.mean(scores)


@settings(deadline=None, max_examples=60)
@given(seeds, all_labels)
def test_is_numpys(seed, labels):
    logits = random_logits(seed)
    wanted = numpy_dice_loss(logits, labels)
    np.testing.assert_allclose(dice_loss(logits, labels), wanted, rtol=1e-4, atol=1e-5)


@settings(deadline=None, max_examples=40)
@given(seeds, all_labels)
def test_unknown_pixels_count_for_nothing(seed, labels):
    logits = random_logits(seed)
    unknown = labels == 255
    value, grad = value_and_grad(logits, labels)
    np.testing.assert_array_equal(grad[unknown], 0)
    other = np.where(unknown[..., None], random_logits(seed + 1), logits)
    np.testing.assert_array_equal(dice_loss(other, labels), value)


def test_known_pixels_count():
    labels = np.random.default_rng(0).integers(0, CLASSES, SHAPE, np.int32)
    _, grad = value_and_grad(random_logits(0), labels)
    assert (np.abs(grad).max(-1) > 0).all()


@pytest.mark.parametrize('unknown', [0, 0.5])
def test_perfect_prediction(unknown):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, CLASSES, SHAPE, np.int32)
    logits = 30 * np.eye(CLASSES, dtype=np.float32)[labels]
    wrong = 30 * np.eye(CLASSES, dtype=np.float32)[(labels + 1) % CLASSES]
    labels[rng.random(SHAPE) < unknown] = 255
    assert dice_loss(logits, labels) < 1e-5
    assert dice_loss(wrong, labels) > 1 - 1e-5


def test_nothing_known_is_no_nan():
    value, grad = value_and_grad(random_logits(0), np.full(SHAPE, 255, np.int32))
    assert value == 1
    assert (grad == 0).all()


def test_a_batch_on_several_devices_is_one_batch():
    """The value is that of the whole batch; so is the mean of the devices' gradients."""
    logits = random_logits(2)
    labels = np.random.default_rng(2).choice([0, 1, 255], SHAPE).astype(np.int32)
    # class 2 is on the second device alone
    labels[2:, 0] = 2
    value, grad = value_and_grad(logits, labels)

    def on_device(scale, logits, labels):
        return losses.dice_loss(scale * logits, labels, axis_name='devices')

    split = lambda x: x.reshape(2, 2, *x.shape[1:])
    step = jax.vmap(jax.value_and_grad(on_device), in_axes=(None, 0, 0), axis_name='devices')
    values, grads = jax.jit(step)(1.0, split(logits), split(labels))
    np.testing.assert_allclose(values, [value, value], rtol=1e-6)
    # d/ds of loss(s * logits) at 1
    np.testing.assert_allclose(grads.mean(), np.vdot(grad, logits), rtol=1e-4)
    alone = dice_loss(logits[:2], labels[:2]), dice_loss(logits[2:], labels[2:])
    assert abs(np.mean(alone) - value) > 0.01


def test_another_label_may_be_the_unknown():
    labels = np.random.default_rng(3).integers(0, CLASSES, SHAPE, np.int32)
    labels[0] = 255
    renamed = np.where(labels == 255, -1, labels)
    logits = random_logits(3)
    np.testing.assert_allclose(
        losses.dice_loss(logits, renamed, ignore=-1), dice_loss(logits, labels), rtol=1e-6
    )


def test_labels_with_a_channel_axis_are_refused():
    with pytest.raises(AssertionError):
        losses.dice_loss(random_logits(0), np.zeros((*SHAPE, 1), np.int32))
