"""The losses of both branches, by the name that a configuration calls them."""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

Array = jax.Array


def dice_loss(
    logits: Array, labels: Array, *, ignore: int = 255, axis_name: str | None = None
) -> Array:
    """Soft Dice loss (Appendix B), summed over the whole batch, averaged over the classes.

    `optax.losses.dice_loss` sums over one image at a time and cannot leave pixels out under
    jit. Here pixels of unknown class do not count, and a class that is missing in one small
    image is balanced by the others of the batch.

    Args:
        logits: [B,H,W,C] f32.
        labels: [B,H,W] integers in 0..C-1, or `ignore`.
        ignore: the label of pixels whose class is unknown.
        axis_name: mapped axis whose devices hold the parts of the batch, if any.

    Returns:
        A scalar in [0, 1], the same on every device.
    """
    chex.assert_shape(labels, logits.shape[:-1])
    known = (labels != ignore)[..., None]
    probs = jnp.where(known, jax.nn.softmax(logits), 0)
    truth = jax.nn.one_hot(labels, logits.shape[-1])
    sums = jnp.stack([(probs * truth).sum((0, 1, 2)), (probs + truth).sum((0, 1, 2))])
    if axis_name is not None:
        sums = jax.lax.psum(sums, axis_name)
    intersection, total = sums
    return 1 - jnp.mean(2 * intersection / (total + 1e-6))


LOSSES: dict[str, Callable[..., Array]] = {'dice': dice_loss}
"""What `config.loss` can be: functions with the arguments of `dice_loss`."""
