"""Branches, run seam by seam, so that something can be handed over at each (Fig. 4, 6)."""

from collections.abc import Callable, Mapping
from typing import Protocol

import jax

Array = jax.Array
Features = dict[str, Array]
Exchange = Callable[[str, Features], Features]

SEAMS = ('input', 'encoder', 'aspp', 'decoder')
"""Where a branch can be fed from outside, in the order of computation (Fig. 4)."""


class Branch(Protocol):
    """A network that maps an image to logits, in steps from seam to seam."""

    SEAMS: tuple[str, ...]

    def advance(self, seam: str, features: Array, seams: Features, train: bool) -> Features:
        """Computes what lies behind a seam: features at the next one, at last the logits."""


def keep(seam: str, features: Features) -> Features:
    """Exchanges nothing."""
    del seam
    return features


def run(
    branches: Mapping[str, Branch],
    images: Mapping[str, Array],
    train: bool,
    exchange: Exchange = keep,
) -> dict[str, Features]:
    """Runs branches side by side.

    Args:
        branches: by name, all of one architecture.
        images: [B,H,W,C] of each branch.
        train: whether dropout acts and batch statistics are those of the batch.
        exchange: called as `exchange(seam, features)` at each seam with the features of each
            branch there; what it returns goes on in their place.

    Returns:
        Of each branch its own features by seam, before any exchange, the image as `input`, and
        `logits`.
    """
    seams = {name: {'input': images[name]} for name in branches}
    for seam in next(iter(branches.values())).SEAMS:
        features = exchange(seam, {name: seams[name][seam] for name in branches})
        for name, each in branches.items():
            seams[name] |= each.advance(seam, features[name], seams[name], train)
    return seams
