"""The encoders by name."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn

from ocelot_jax.models import convnext, vit


class Kind(NamedTuple):
    """An encoder's module, and the dataclass of the sizes that it takes."""

    module: type[nn.Module]
    sizes: type


TIMM = {
    'vit': Kind(vit.VisionTransformer, vit.Sizes),
    'convnext': Kind(convnext.ConvNeXt, convnext.Sizes),
}
"""Encoders beside `resnet.VARIANTS`, which `Adapter` fits to DeepLabV3+."""


def create(name: str, sizes: Mapping[str, Any], remat: bool) -> nn.Module:
    """Makes one of `TIMM`, of the sizes that its `Sizes` name."""
    return TIMM[name].module(TIMM[name].sizes(**sizes), remat)
