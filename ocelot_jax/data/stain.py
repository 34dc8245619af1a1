"""Other amounts of stain in an H&E image (Tellez et al., Medical Image Analysis 2019).

Stains absorb light: the optical density of a pixel, -log of its brightness, is the sum of what
each stain takes, so more or less of a stain is a change along its own direction.
"""

import jax
import jax.numpy as jnp
import numpy as np

# Optical densities of hematoxylin, eosin and DAB (Ruifrok and Johnston 2001), rows of length 1;
# where there is no DAB the third holds what the other two leave over.
_STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
_STAINS = (_STAINS / np.linalg.norm(_STAINS, axis=1, keepdims=True)).astype(np.float32)
_UNMIX = np.linalg.inv(_STAINS)
# darker than any pixel of 8 bits but black
_LEAST = 1 / 512


def draw_change(key: jax.Array, most: float) -> tuple[jax.Array, jax.Array]:
    """Draws factors [3] from 1 - `most` to 1 + `most`, and shifts [3] from -`most` to `most`."""
    factors, shifts = jax.random.uniform(key, (2, 3), minval=-most, maxval=most)
    return 1.0 + factors, shifts


def jitter(image: jax.Array, factors: jax.Array, shifts: jax.Array) -> jax.Array:
    """Changes the amount of each stain, a, to `factors * a + shifts` in optical density.

    Args:
        image: [H,W,3] f32 in [0, 1].
        factors: [3] f32; ones change nothing.
        shifts: [3] f32; zeros change nothing.

    Returns:
        [H,W,3] f32 in [0, 1].
    """
    density = -jnp.log(jnp.maximum(image, _LEAST))
    # all in one 3 x 3 matrix
    mix = _UNMIX @ (factors[:, None] * _STAINS)
    changed = density @ mix + shifts @ _STAINS
    return jnp.clip(jnp.exp(-changed), 0.0, 1.0)
