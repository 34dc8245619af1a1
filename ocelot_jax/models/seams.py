"""The seams of a branch, where features can be injected or shared (Fig. 4, 6).

A branch is a generator that reads as its forward pass. At each seam it yields the seam's name and
the features there, and goes on with the features that it is sent; it returns the logits:

    def stages(self, x, train):
        x = yield 'input', x
        features = yield 'encoder', self.encoder(x, train)
        return self.head(features)

`run` does not look at features, so the values of an ONNX graph can take the place of arrays.
"""

from collections.abc import Callable, Generator, Mapping
from typing import TypeVar

import flax.linen as nn
import jax

from ocelot_jax.models import layers

T = TypeVar('T')
Stages = Generator[tuple[str, T], T, T]
Exchange = Callable[[str, dict[str, T]], Mapping[str, T]]


def keep(seam: str, features: dict[str, T]) -> dict[str, T]:
    """Exchanges nothing."""
    del seam
    return features


def run(branches: Mapping[str, Stages[T]], exchange: Exchange[T] = keep) -> dict[str, T]:
    """Runs branches side by side, from seam to seam.

    Args:
        branches: by name, all with the same seams.
        exchange: called as `exchange(seam, features)` at each seam with the features of each
            branch there; every branch goes on with what is returned under its name.

    Returns:
        The logits of each branch.
    """
    sent, logits = dict.fromkeys(branches), {}
    while not logits:
        arrived = {}
        for name, branch in branches.items():
            try:
                seam, arrived[name] = branch.send(sent[name])
            except StopIteration as finished:
                logits[name] = finished.value
        if arrived:
            sent = exchange(seam, arrived)
    return logits


class Branch(nn.Module):
    """A network from an image to logits, with seams.

    Submodules, `head` among them, are made in `setup`. `stages` needs `nn.nowrap`: what Flax wraps
    around a method would end before the generator begins.

    Attributes:
        SEAMS: names of its seams, in the order of the forward pass.
        STRIDE: number of which the sides of its images must be multiples.
    """

    SEAMS = ()
    STRIDE = 1

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Applies the branch by itself, with nothing exchanged.

        Args:
            x: [B,H,W,C] normalised image.
            train: whether dropout acts and batch statistics are those of the batch.

        Returns:
            [B,H,W,num_classes] float32 logits.
        """
        return run({'alone': self.stages(x, train)})['alone']

    def stages(self, x: jax.Array, train: bool) -> Stages[jax.Array]:
        """The forward pass, for `run`."""
        raise NotImplementedError

    def classify(self, features: jax.Array, size: tuple[int, int]) -> jax.Array:
        """Logits [B,*size,num_classes] of the decoder's features.

        It is the method by which the branch gets its row in Flax's table (`card.describe`), which
        would count the branch's parameters twice without one.
        """
        logits = self.head(features)
        return logits if logits.shape[1:3] == size else layers.resize(logits, size)
