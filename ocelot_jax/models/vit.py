"""Vision Transformers (Dosovitskiy et al., ICLR 2021), as timm computes them.

Modules have timm's names, by which `interop.timm` reads its checkpoints.
"""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

Array = jax.Array

STRIDE = 16
"""Pixels between two tokens, whatever the size of a patch."""
MLP_LAYERS = ('Mlp', 'SwiGLUPacked')
# timm's ViT-H, -g, -G and SO-400M have 16 heads; the others one for 64 channels
_HEADS = {1152: 16, 1280: 16, 1408: 16, 1664: 16}
_EPSILON = 1e-6

Dense = functools.partial(nn.Dense, kernel_init=nn.initializers.truncated_normal(0.02))


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What a ViT is made of; names and meanings are those of timm's arguments.

    Attributes:
        img_size: side of the images that it was trained on, pixels.
        patch_size: side of a patch, pixels.
        embed_dim: channels of a token.
        depth: number of blocks.
        num_heads: 0 for what timm's models of that `embed_dim` have.
        mlp_ratio: outputs of a block's first MLP layer over `embed_dim`.
        mlp_layer: one of `MLP_LAYERS`: by GELU, or by SiLU gates, which half of these outputs are.
        init_values: first values of LayerScale; 0 for none.
        class_token: whether there is one.
        reg_tokens: number of register tokens.
        no_embed_class: whether only patches have positions, not these further tokens.
    """

    img_size: int = 224
    patch_size: int = 16
    embed_dim: int = 384
    depth: int = 12
    num_heads: int = 0
    mlp_ratio: float = 4.0
    mlp_layer: str = 'Mlp'
    init_values: float = 0.0
    class_token: bool = True
    reg_tokens: int = 0
    no_embed_class: bool = False

    def __post_init__(self) -> None:
        if self.mlp_layer not in MLP_LAYERS:
            wanted = ', '.join(MLP_LAYERS)
            raise ValueError(f'mlp_layer: {self.mlp_layer!r}; want one of {wanted}')
        if self.embed_dim % self.heads:
            raise ValueError(f'num_heads: {self.heads}; want a divisor of {self.embed_dim}')
        if self.img_size % self.patch_size:
            raise ValueError(f'img_size: {self.img_size}; want a multiple of {self.patch_size}')

    @property
    def heads(self) -> int:
        """The number of heads."""
        return self.num_heads or _HEADS.get(self.embed_dim, max(1, self.embed_dim // 64))

    @property
    def hidden(self) -> int:
        """Outputs of a block's first MLP layer."""
        # rounded down, as timm does, but no ratio of whole numbers by what floats lack
        return int(self.mlp_ratio * self.embed_dim + 1e-6)

    @property
    def grid(self) -> int:
        """Patches on a side of the images that it was trained on."""
        return self.img_size // self.patch_size

    @property
    def other_tokens(self) -> int:
        """Tokens that stand for no patch."""
        return int(self.class_token) + self.reg_tokens


class VisionTransformer(nn.Module):
    """A ViT without its classifier.

    Tokens lie 16 px apart. For patches of another size p the image is resized by p / 16 first, so
    that a ViT of 14 px sees it at 16/14 of its um/px.

    Attributes:
        sizes: what it is made of.
        remat: whether the backward pass computes each block anew instead of keeping its inner
            activations.
    """

    sizes: Sizes
    remat: bool = False

    @nn.compact
    def __call__(self, x: Array, train: bool) -> tuple[Array]:
        """Encodes [B,H,W,3]; `train` changes nothing.

        Returns:
            One map: the last block's patch tokens, normalised, [B,H/16,W/16,embed_dim].
        """
        sizes = self.sizes
        grid = (x.shape[1] // STRIDE, x.shape[2] // STRIDE)
        patches = PatchEmbed(sizes.embed_dim, sizes.patch_size, name='patch_embed')(x, grid)
        tokens = self._with_positions(patches, grid)
        block_class = nn.remat(Block) if self.remat else Block
        for i in range(sizes.depth):
            tokens = block_class(sizes, name=f'blocks_{i}')(tokens)
        tokens = layer_norm('norm', x.dtype)(tokens[:, sizes.other_tokens :])
        return (tokens.reshape(*patches.shape[:1], *grid, -1),)

    @nn.nowrap
    def _with_positions(self, patches: Array, grid: tuple[int, int]) -> Array:
        """All tokens [B,N,C] of patches [B,h*w,C]: class, registers, patches."""
        sizes, others = self.sizes, []
        zeros, normal = nn.initializers.zeros, nn.initializers.truncated_normal(0.02)
        if sizes.class_token:
            others.append(self.param('cls_token', zeros, (1, 1, sizes.embed_dim)))
        if sizes.reg_tokens:
            shape = (1, sizes.reg_tokens, sizes.embed_dim)
            others.append(self.param('reg_token', zeros, shape))
        placed = 0 if sizes.no_embed_class else sizes.other_tokens
        shape = (1, placed + sizes.grid**2, sizes.embed_dim)
        positions = self.param('pos_embed', normal, shape)
        own = resample_positions(positions[:, placed:], sizes.grid, grid)
        tokens = patches + own.astype(patches.dtype)
        if not others:
            return tokens
        first = jnp.concatenate(others, 1)
        if placed:
            first += positions[:, :placed]
        first = jnp.broadcast_to(first, (len(tokens), *first.shape[1:]))
        return jnp.concatenate([first.astype(tokens.dtype), tokens], 1)


class PatchEmbed(nn.Module):
    """From pixels to tokens."""

    features: int
    patch_size: int

    @nn.compact
    def __call__(self, x: Array, grid: tuple[int, int]) -> Array:
        """Maps [B,H,W,3] to tokens [B,h*w,features] of a grid (h, w)."""
        size = self.patch_size
        shape = (len(x), grid[0] * size, grid[1] * size, x.shape[-1])
        if x.shape != shape:
            x = jax.image.resize(x, shape, 'linear')
        patch = (size, size)
        proj = nn.Conv(self.features, patch, patch, 'VALID', dtype=x.dtype, name='proj')
        return proj(x).reshape(len(x), -1, self.features)


class Block(nn.Module):
    """Attention, then an MLP, each on normalised tokens and beside a shortcut."""

    sizes: Sizes

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps tokens [B,N,C] to tokens."""
        sizes, dtype = self.sizes, x.dtype
        scale = lambda name, y: LayerScale(sizes.init_values, name=name)(y)
        y = Attention(sizes.heads, name='attn')(layer_norm('norm1', dtype)(x))
        x = x + (scale('ls1', y) if sizes.init_values else y)
        gated = sizes.mlp_layer == 'SwiGLUPacked'
        y = MLP(sizes.hidden, gated, name='mlp')(layer_norm('norm2', dtype)(x))
        return x + (scale('ls2', y) if sizes.init_values else y)


class Attention(nn.Module):
    """Self-attention of several heads."""

    num_heads: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps tokens [B,N,C] to tokens."""
        batch, count, channels = x.shape
        qkv = Dense(3 * channels, dtype=x.dtype, name='qkv')(x)
        qkv = qkv.reshape(batch, count, 3, self.num_heads, channels // self.num_heads)
        y = jax.nn.dot_product_attention(*jnp.moveaxis(qkv, 2, 0))
        return Dense(channels, dtype=x.dtype, name='proj')(y.reshape(x.shape))


class MLP(nn.Module):
    """Two layers with a GELU between them, or with SiLU gates (SwiGLU).

    Attributes:
        hidden: outputs of the first layer.
        gated: whether the first half of them gates the second.
    """

    hidden: int
    gated: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps [...,C] to [...,C]."""
        y = Dense(self.hidden, dtype=x.dtype, name='fc1')(x)
        if self.gated:
            gates, y = jnp.split(y, 2, -1)
            y = nn.silu(gates) * y
        else:
            y = nn.gelu(y, approximate=False)
        return Dense(x.shape[-1], dtype=x.dtype, name='fc2')(y)


class LayerScale(nn.Module):
    """A factor for each channel (Touvron et al., ICCV 2021)."""

    initial: float

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Scales [...,C]."""
        gamma = self.param('gamma', nn.initializers.constant(self.initial), x.shape[-1:])
        return x * gamma.astype(x.dtype)


def layer_norm(name: str, dtype: jnp.dtype) -> nn.LayerNorm:
    """Layer normalisation with timm's constant."""
    return nn.LayerNorm(_EPSILON, dtype=dtype, name=name)


def resample_positions(positions: Array, old: int, new: tuple[int, int]) -> Array:
    """Brings position embeddings of a square of `old` patches a side to another grid.

    Bicubic, with antialiasing, as timm's `resample_abs_pos_embed` does: [1,old*old,C] to
    [1,h*w,C].
    """
    if new == (old, old):
        return positions
    channels = positions.shape[-1]
    square = positions.reshape(old, old, channels)
    return jax.image.resize(square, (*new, channels), 'cubic').reshape(1, -1, channels)
