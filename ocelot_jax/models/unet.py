"""U-Net (Ronneberger et al., MICCAI 2015) on a ResNet encoder: a baseline of Table C.1.

The paper names no variant; this is the one that segmentation_models.pytorch made common, so that
it shares the encoder and its pretrained weights with DeepLabV3+.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from ocelot_jax.models import layers, seams

Array = jax.Array


class UNetDecoder(nn.Module):
    """Doubles the resolution five times, each time joined by the encoder's map of that size."""

    features: tuple[int, ...] = (256, 128, 64, 32, 16)
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Array, skips: tuple[Array, ...], train: bool) -> Array:
        """Maps [B,h,w,C] to [B,32h,32w,features[-1]]; `skips` at strides 2, 4, 8, 16."""
        for level, (features, skip) in enumerate(
            zip(self.features, [*skips[::-1], None], strict=True), start=1
        ):
            x = jnp.repeat(jnp.repeat(x, 2, 1), 2, 2)
            if skip is not None:
                x = jnp.concatenate([x, skip], -1)
            for i in (1, 2):
                conv = layers.ConvBN(
                    features, kernel=3, axis_name=self.axis_name, name=f'level{level}_conv{i}'
                )
                x = conv(x, train)
        return x


class UNet(seams.Branch):
    """One branch: encoder, decoder and head, with a seam before each."""

    SEAMS = ('input', 'encoder', 'decoder')

    def setup(self) -> None:
        super().setup()
        self.decoder = UNetDecoder(axis_name=self.axis_name)

    @nn.nowrap
    def stages(self, x: Array, train: bool) -> seams.Stages[Array]:
        """The forward pass of [B,H,W,C] images, for `seams.run`."""
        size = x.shape[1:3]
        x = yield 'input', x
        *skips, high = self.encode(x, train)
        high = yield 'encoder', high
        joined = yield 'decoder', self.decoder(high, tuple(skips), train)
        return self.classify(joined, size)
