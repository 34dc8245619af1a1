"""DeepLabV3+ (Chen et al., ECCV 2018): the architecture of both branches (Sec. 5.1)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from ocelot_jax.models import layers
from ocelot_jax.models import seams as seams_lib
from ocelot_jax.models.resnet import ResNetEncoder

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


class DeepLabV3Plus(nn.Module):
    """One branch: encoder, ASPP, decoder, head, with named seams between them.

    Attributes:
        num_classes: channels of the logits.
        encoder_name: one of `resnet.VARIANTS`.
        dropout: spatial dropout after each stage of the encoder (Appendix B).
        aspp_dropout: dropout after the ASPP's projection.
        axis_name: mapped axis over which batch statistics are averaged in training, if any.
        remat: whether the backward pass computes the encoder's blocks, the ASPP and the decoder
            anew instead of keeping what is inside them.
    """

    num_classes: int
    encoder_name: str = 'resnet34'
    dropout: float = 0.0
    aspp_dropout: float = 0.5
    axis_name: str | None = None
    remat: bool = False

    SEAMS = seams_lib.SEAMS

    def setup(self):
        shared = {'axis_name': self.axis_name}
        self.encoder = ResNetEncoder(
            self.encoder_name, dropout=self.dropout, remat=self.remat, **shared
        )
        aspp, decoder = ASPP, Decoder
        if self.remat:
            aspp = nn.remat(ASPP, static_argnums=(2,))
            decoder = nn.remat(Decoder, static_argnums=(3,))
        self.aspp = aspp(dropout=self.aspp_dropout, **shared)
        self.decoder = decoder(**shared)
        self.head = nn.Dense(self.num_classes)

    def __call__(self, x: Array, *, train: bool) -> tuple[Array, dict[str, Array]]:
        """Applies the branch by itself.

        Args:
            x: [B,H,W,C] normalised image, H and W multiples of 16.
            train: whether dropout acts and batch statistics are those of the batch.

        Returns:
            [B,H,W,num_classes] float32 logits, and the features at the seams:
            `low` [B,H/4,W/4,64], `encoder` [B,H/16,W/16,512], `aspp` [B,H/16,W/16,256],
            `decoder` [B,H/4,W/4,256] (`low` and `encoder` four times as deep in ResNet-50).
        """
        seams = seams_lib.run({'alone': self}, {'alone': x}, train)['alone']
        del seams['input']
        return seams.pop('logits'), seams

    def advance(
        self, seam: str, features: Array, seams: dict[str, Array], train: bool
    ) -> dict[str, Array]:
        """Computes what lies behind a seam, as `branch.run` asks for it.

        Args:
            seam: one of `SEAMS`.
            features: what arrives there, commonly with the channels of an exchange behind.
            seams: the branch's own features so far, by seam, and the image at `input`.
            train: as above.
        """
        match seam:
            case 'input':
                _, low, _, _, high = self.encoder(features, train)
                return {'low': low, 'encoder': high}
            case 'encoder':
                return {'aspp': self.aspp(features, train)}
            case 'aspp':
                return {'decoder': self.decoder(features, seams['low'], train)}
            case 'decoder':
                logits = self.head(features)
                return {'logits': layers.resize(logits, seams['input'].shape[1:3])}
