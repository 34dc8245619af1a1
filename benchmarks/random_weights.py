"""Random weights for networks, drawn by NumPy: quicker than compiling their initialisation."""

from typing import Any

import jax
import numpy as np


def draw(shapes: Any, seed: int = 0) -> Any:
    """Draws weights that keep the scale of features and make the outputs depend on the inputs.

    No value is zero or one, and no two are the same, so that an exchange of two shows.

    Args:
        shapes: of a network's variables, as `factory.abstract_variables` gives them.
        seed: of the weights.

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
        depthwise = names[-2] == 'depthwise'  # [3,3,C]: each output sums nine inputs
        noise *= np.sqrt(2 / np.prod(leaf.shape[: 2 if depthwise else -1]))
        # so that the probabilities are not all near 0 or 1, which would hide differences
        return 0.1 * noise if names[-2] in ('head', 'classify') else noise

    return jax.tree_util.tree_map_with_path(draw_leaf, shapes)
