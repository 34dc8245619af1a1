"""The losses of both branches, by the names that a configuration calls them.

Each takes logits [B,H,W,C] f32 and the truth [B,H,W,C] f32: the probability of each class at each
pixel, or zeros where it is not known; such pixels do not count. Sums run over the whole batch,
over all devices of the mapped axis `axis_name`, if any. The result is a scalar, the same on every
device, which is finite where nothing is known.
"""

import functools
import operator
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

from ocelot_jax.io.errors import InputError

Array = jax.Array


def dice_loss(logits: Array, truth: Array, *, axis_name: str | None = None) -> Array:
    """Soft Dice loss (Appendix B), averaged over the classes; in [0, 1].

    `optax.losses.dice_loss` sums over one image at a time and cannot leave pixels out under
    jit. Here a class that is missing in one small image is balanced by the others of the batch.
    """
    chex.assert_equal_shape([logits, truth])
    is_known = truth.sum(-1, keepdims=True) > 0
    probs = jnp.where(is_known, jax.nn.softmax(logits), 0)
    sums = jnp.stack([(probs * truth).sum((0, 1, 2)), (probs + truth).sum((0, 1, 2))])
    intersection, total = _over_devices(sums, axis_name)
    return 1 - jnp.mean(2 * intersection / (total + 1e-6))


def cross_entropy(
    logits: Array,
    truth: Array,
    *,
    axis_name: str | None = None,
    balanced: bool = False,
    focus: float = 0.0,
) -> Array:
    """Cross-entropy, averaged over the known pixels.

    Args:
        logits: see above.
        truth: see above.
        axis_name: see above.
        balanced: whether all classes that are there weigh alike, however many pixels they have.
        focus: exponent of 1 - p, the focal loss's gamma (Lin et al., ICCV 2017): what the network
            is sure of counts less.
    """
    chex.assert_equal_shape([logits, truth])
    log_probs = jax.nn.log_softmax(logits)
    costs = -truth * log_probs
    if focus:
        costs *= (1 - jnp.exp(log_probs)) ** focus
    sums = jnp.stack([costs.sum((0, 1, 2)), truth.sum((0, 1, 2))])
    costs, pixels = _over_devices(sums, axis_name)
    if balanced:
        return (costs / jnp.maximum(pixels, 1e-6)).sum() / jnp.maximum((pixels > 0).sum(), 1)
    return costs.sum() / jnp.maximum(pixels.sum(), 1e-6)


def _over_devices(sums: Array, axis_name: str | None) -> Array:
    return sums if axis_name is None else jax.lax.psum(sums, axis_name)


LOSSES: dict[str, Callable[..., Array]] = {
    'dice': dice_loss,
    'cross_entropy': cross_entropy,
    'balanced_cross_entropy': functools.partial(cross_entropy, balanced=True),
    'focal': functools.partial(cross_entropy, focus=2.0),
}
"""What `config.loss` can name."""


def create(name: str, axis_name: str | None = None) -> Callable[[Array, Array], Array]:
    """Makes the loss of a name, or the sum of several that a plus joins, `dice+cross_entropy`.

    Raises:
        InputError: there is no loss of that name.
    """
    for part in name.split('+'):
        if part not in LOSSES:
            raise InputError(
                f'config.loss: {part!r}; want one of {", ".join(LOSSES)}, or a sum of them, '
                'as dice+cross_entropy'
            )
    parts = [functools.partial(LOSSES[part], axis_name=axis_name) for part in name.split('+')]
    return lambda logits, truth: functools.reduce(
        operator.add, (part(logits, truth) for part in parts)
    )
