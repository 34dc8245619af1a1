"""Random weights for networks, drawn by NumPy: quicker than compiling their initialisation."""

from typing import Any

import jax
import numpy as np


def draw(shapes: Any, seed: int = 0, gain: float = 1.0) -> Any:
    """Draws weights with which the outputs depend on all inputs.

    No value is zero or one, and no two are the same, so that an exchange of two shows.

    Args:
        shapes: of a network's variables, as `factory.abstract_variables` gives them.
        seed: of the weights.
        gain: variance of a layer's outputs over that of its inputs; He's is 2, for half of them
            do not pass ReLU, but residual blocks add up.

    Returns:
        NumPy arrays in the same tree, float32.
    """
    rng = np.random.default_rng(seed)

    def draw_leaf(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        names = [part.key for part in path]
        noise = rng.standard_normal(leaf.shape, np.float32)
        if names[-1] in ('scale', 'var'):
            return 1 + 0.2 * np.abs(noise)
        if names[-1] != 'kernel':
            return 0.2 * noise
        noise *= np.sqrt(gain / np.prod(leaf.shape[:-1]))
        # so that the probabilities are not all near 0 or 1, which would hide differences
        return 0.1 * noise if names[-2] in ('head', 'classify') else noise

    return jax.tree_util.tree_map_with_path(draw_leaf, shapes)
