"""DeepLabV3+ (Chen et al., ECCV 2018): the architecture of both branches (Sec. 5.1)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from ocelot_jax.models import layers, seams

Array = jax.Array


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: five views of one map, projected and refined."""

    features: int = 256
    rates: tuple[int, ...] = (12, 24, 36)
    dropout: float = 0.5
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """Maps [B,h,w,C] to [B,h,w,features]."""
        conv_bn = lambda name: layers.ConvBN(self.features, axis_name=self.axis_name, name=name)
        views = [conv_bn('pointwise')(x, train)]
        for rate in self.rates:
            atrous = layers.SeparableConvBN(
                self.features, rate, axis_name=self.axis_name, name=f'atrous{rate}'
            )
            views.append(atrous(x, train))
        pooled = conv_bn('pool')(x.mean((1, 2), keepdims=True), train)
        views.append(jnp.broadcast_to(pooled, views[0].shape))
        y = conv_bn('project')(jnp.concatenate(views, -1), train)
        y = nn.Dropout(self.dropout, deterministic=not train)(y)
        refine = layers.SeparableConvBN(self.features, axis_name=self.axis_name, name='refine')
        return refine(y, train)


class Decoder(nn.Module):
    """Joins the context at stride 16 with the detail at stride 4."""

    features: int = 256
    low_features: int = 48
    axis_name: str | None = None

    @nn.compact
    def __call__(self, context: Array, low: Array, train: bool) -> Array:
        """Maps [B,h,w,C] context and [B,4h,4w,64] detail to [B,4h,4w,features]."""
        context = layers.resize(context, low.shape[1:3])
        low = layers.ConvBN(self.low_features, axis_name=self.axis_name, name='low')(low, train)
        fuse = layers.SeparableConvBN(self.features, axis_name=self.axis_name, name='fuse')
        return fuse(jnp.concatenate([context, low], -1), train)


class DeepLabV3Plus(seams.Branch):
    """One branch: encoder, ASPP, decoder and head, with a seam before each.

    Attributes:
        aspp_dropout: dropout after the ASPP's projection.
    """

    aspp_dropout: float = 0.5

    SEAMS = ('input', 'encoder', 'aspp', 'decoder')
    STRIDE = 16

    def setup(self) -> None:
        super().setup()
        aspp, decoder = ASPP, Decoder
        if self.remat:
            aspp = nn.remat(ASPP, static_argnums=(2,))
            decoder = nn.remat(Decoder, static_argnums=(3,))
        self.aspp = aspp(dropout=self.aspp_dropout, axis_name=self.axis_name)
        self.decoder = decoder(axis_name=self.axis_name)

    @nn.nowrap
    def stages(self, x: Array, train: bool) -> seams.Stages[Array]:
        """The forward pass of [B,H,W,C] images, for `seams.run`.

        The features at the seams are the image, [B,H/16,W/16,512], [B,H/16,W/16,256] and
        [B,H/4,W/4,256]; the encoder's are four times as deep in ResNet-50.
        """
        size = x.shape[1:3]
        x = yield 'input', x
        _, low, _, _, high = self.encode(x, train)
        high = yield 'encoder', high
        context = yield 'aspp', self.aspp(high, train)
        joined = yield 'decoder', self.decoder(context, low, train)
        return self.classify(joined, size)
