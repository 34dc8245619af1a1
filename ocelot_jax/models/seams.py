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
from typing import Any, ClassVar, TypeVar

import flax.linen as nn
import jax

from ocelot_jax.models import encoders, layers
from ocelot_jax.models.adapter import Adapter
from ocelot_jax.models.resnet import ResNetEncoder

T = TypeVar('T')
Stages = Generator[tuple[str, T], T, T]
Exchange = Callable[[str, dict[str, T]], Mapping[str, T]]


def run(
    branches: Mapping[str, Stages[T]], exchange: Exchange[T] = lambda seam, features: features
) -> dict[str, T]:
    """Runs branches side by side, from seam to seam.

    Args:
        branches: by name, all with the same seams.
        exchange: called as `exchange(seam, features)` at each seam with the features of each
            branch there; every branch goes on with what is returned under its name.

    Returns:
        The logits of each branch.
    """
    sent: Mapping[str, Any] = dict.fromkeys(branches)  # a generator is begun with None
    logits: dict[str, T] = {}
    while not logits:
        arrived: dict[str, T] = {}
        for name, branch in branches.items():
            try:
                seam, arrived[name] = branch.send(sent[name])
            except StopIteration as finished:
                logits[name] = finished.value
        if arrived:
            sent = exchange(seam, arrived)
    return logits


class Branch(nn.Module):
    """A network from an image to logits, with seams: encoder, what follows, and head.

    Other submodules are made in `setup`, too. `stages` needs `nn.nowrap`: what Flax wraps around a
    method would end before the generator begins.

    Attributes:
        num_classes: channels of the logits.
        encoder_name: one of `resnet.VARIANTS`, or of `encoders.TIMM` in DeepLabV3+.
        dropout: spatial dropout after each stage of the encoder (Appendix B).
        axis_name: mapped axis over which batch statistics are averaged in training, if any.
        remat: whether the backward pass computes the encoder's blocks, DeepLabV3+'s ASPP and its
            decoder anew instead of keeping their inner activations.
        encoder_sizes: of one of `encoders.TIMM`.
        frozen: whether the encoder, but not what adapts it, stays as it is: no gradients reach
            it, and it computes in training what it computes later.
        SEAMS: names of its seams, in the order of the forward pass.
        STRIDE: number of which the sides of its images must be multiples.
    """

    num_classes: int
    encoder_name: str = 'resnet34'
    dropout: float = 0.0
    axis_name: str | None = None
    remat: bool = False
    encoder_sizes: Mapping[str, Any] = nn.FrozenDict()
    frozen: bool = False

    SEAMS: ClassVar[tuple[str, ...]] = ()
    STRIDE: ClassVar[int] = 32

    def setup(self) -> None:
        if self.encoder_name in encoders.TIMM:
            self.encoder = encoders.create(self.encoder_name, self.encoder_sizes, self.remat)
            self.adapter = Adapter(self.dropout, self.axis_name)
        else:
            self.encoder = ResNetEncoder(
                self.encoder_name, self.STRIDE, self.dropout, self.axis_name, self.remat
            )
        self.head = nn.Dense(self.num_classes)

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Logits [B,H,W,num_classes], float32, of normalised [B,H,W,C]; nothing is exchanged."""
        return run({'alone': self.stages(x, train)})['alone']

    def stages(self, x: jax.Array, train: bool) -> Stages[jax.Array]:
        """The forward pass, for `run`."""
        raise NotImplementedError

    @nn.nowrap
    def encode(self, x: jax.Array, train: bool) -> tuple[Any, ...]:
        """Five maps, as `ResNetEncoder` and `Adapter` give them."""
        maps = self.encoder(x, train and not self.frozen)
        if self.frozen:
            maps = jax.lax.stop_gradient(maps)
        return self.adapter(maps, train) if self.encoder_name in encoders.TIMM else maps

    def classify(self, features: jax.Array, size: tuple[int, ...]) -> jax.Array:
        """Logits [B,*size,num_classes] of the decoder's features.

        It is the method by which the branch gets its row in Flax's table (`card.describe`), which
        would count the branch's parameters twice without one.
        """
        logits = self.head(features)
        return logits if logits.shape[1:3] == size else layers.resize(logits, size)
