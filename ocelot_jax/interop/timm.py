"""ViTs and ConvNeXts under timm's names.

Our modules have timm's names, so the path of an array tells its name:
('blocks_0', 'attn', 'qkv', 'kernel') is blocks.0.attn.qkv.weight.
"""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import flax.traverse_util
import numpy as np

from ocelot_jax.data.augmentation import IMAGENET_MEAN, IMAGENET_STD
from ocelot_jax.io.errors import InputError

Path = tuple[str, ...]
Shapes = Mapping[str, tuple[int, ...]]

# the layer of the pixels, by which each kind is known
_FIRST = {'vit': 'patch_embed.proj', 'convnext': 'stem.0'}
_CLASSIFIER = 'head.'
_LEAVES = {'kernel': 'weight', 'scale': 'weight'}


def kind_of(names: Collection[str]) -> str | None:
    """Which of `encoders.TIMM` tensors of these names make; None for none of them."""
    kinds = (kind for kind, first in _FIRST.items() if f'{first}.weight' in names)
    return next(kinds, None)


def names(encoder: Mapping[str, Any]) -> list[str]:
    """Timm's names of an encoder's parameters."""
    return [_name(path) for path in flax.traverse_util.flatten_dict(dict(encoder))]


def _name(path: Path) -> str:
    *modules, leaf = path
    return re.sub(r'_(?=\d)', '.', '.'.join((*modules, _LEAVES.get(leaf, leaf))))


def convert(
    state_dict: Mapping[str, np.ndarray],
    encoder: Mapping[str, Any],
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
) -> dict[Path, np.ndarray]:
    """Makes an encoder's parameters of timm's tensors; a classifier is left out.

    Args:
        state_dict: timm's, of a ViT or a ConvNeXt.
        encoder: parameters of that encoder, for their names and shapes.
        mean: of the images for which timm's network was trained, [3], of [0, 1].
        std: the same. We standardise images by ImageNet's; the difference goes into the weights
            of the first layer, which sees no padding.

    Returns:
        Flat parameters, float32.

    Raises:
        InputError: a tensor is missing, unknown, or of another shape.
    """
    given = {k: v for k, v in state_dict.items() if not k.startswith(_CLASSIFIER)}
    flat = flax.traverse_util.flatten_dict(dict(encoder))
    wanted = {_name(path): _theirs(array.shape) for path, array in flat.items()}
    _compare_sizes({k: v.shape for k, v in given.items()}, wanted)
    for key in wanted:
        if key not in given:
            raise InputError(f'tensor {key!r} is missing')
    for key, array in given.items():
        if key not in wanted:
            raise InputError(f'tensor {key!r} is of no layer of the network')
        if array.shape != wanted[key]:
            raise InputError(f'tensor {key!r} is {list(array.shape)}; want {list(wanted[key])}')
    tensors = {key: np.asarray(array, np.float32) for key, array in given.items()}
    [first] = [layer for layer in _FIRST.values() if f'{layer}.weight' in tensors]
    tensors |= _standardised(tensors, first, mean, std)
    return {path: _ours(tensors[_name(path)]) for path in flat}


def sizes(shapes: Shapes) -> dict[str, Any]:
    """What the shapes of timm's tensors tell of `vit.Sizes` or `convnext.Sizes`.

    A ViT's number of heads is not told by any.

    Raises:
        KeyError: a tensor that tells one is missing.
    """
    return _vit_sizes(shapes) if kind_of(shapes) == 'vit' else _convnext_sizes(shapes)


def _vit_sizes(shapes: Shapes) -> dict[str, Any]:
    width, _, patch, _ = shapes['patch_embed.proj.weight']
    class_token = 'cls_token' in shapes
    registers = shapes['reg_token'][1] if 'reg_token' in shapes else 0
    places, others = shapes['pos_embed'][1], registers + class_token
    # the patches make a square
    unplaced = others > 0 and math.isqrt(places) ** 2 == places
    hidden, inner = (shapes[f'blocks.0.mlp.{layer}.weight'] for layer in ('fc1', 'fc2'))
    return {
        'img_size': patch * math.isqrt(places - (0 if unplaced else others)),
        'patch_size': patch,
        'embed_dim': width,
        'depth': _count(shapes, r'blocks\.(\d+)\.'),
        'mlp_ratio': hidden[0] / width,
        'mlp_layer': 'Mlp' if hidden[0] == inner[1] else 'SwiGLUPacked',
        'init_values': 1e-5 if 'blocks.0.ls1.gamma' in shapes else 0.0,
        'class_token': class_token,
        'reg_tokens': registers,
        'no_embed_class': unplaced,
    }


def _convnext_sizes(shapes: Shapes) -> dict[str, Any]:
    stages = range(_count(shapes, r'stages\.(\d+)\.'))
    return {
        'depths': tuple(_count(shapes, rf'stages\.{i}\.blocks\.(\d+)\.') for i in stages),
        'dims': tuple(shapes[f'stages.{i}.blocks.0.conv_dw.weight'][0] for i in stages),
    }


def _count(shapes: Shapes, pattern: str) -> int:
    found = [re.match(pattern, key) for key in shapes]
    return 1 + max((int(match[1]) for match in found if match), default=-1)


def _compare_sizes(given: Shapes, wanted: Shapes) -> None:
    """Raises an InputError that says how to configure the encoder that is given."""
    kind = kind_of(wanted)
    try:
        theirs, ours = sizes(given), sizes(wanted)
    except KeyError as error:
        raise InputError(f'tensor {error} is missing') from None
    changed = [field for field, value in theirs.items() if value != ours[field]]
    if changed:
        flags = (f'--config.model.{kind}.{field}={theirs[field]!r}' for field in changed)
        raise InputError(f'has other sizes than config.model.{kind}; want {" ".join(flags)}')


def _standardised(
    tensors: Mapping[str, np.ndarray], first: str, mean: Sequence[float], std: Sequence[float]
) -> dict[str, np.ndarray]:
    """The first layer of a network for images of that mean and deviation, for ours."""
    weight, bias = tensors[f'{first}.weight'], tensors[f'{first}.bias']
    scale = np.divide(IMAGENET_STD, std)
    shift = np.subtract(IMAGENET_MEAN, mean) / std
    moved = bias + np.einsum('oikl,i->o', weight, shift)
    scaled = weight * scale[:, None, None]
    changed = {f'{first}.weight': scaled, f'{first}.bias': moved}
    return {name: array.astype(np.float32) for name, array in changed.items()}


def _theirs(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that PyTorch gives an array of ours of this shape."""
    match shape:
        case (height, width, inputs, outputs):
            return (outputs, inputs, height, width)
        case (inputs, outputs):
            return (outputs, inputs)
    return shape


def _ours(array: np.ndarray) -> np.ndarray:
    """PyTorch's [out,in,h,w] as [h,w,in,out], [out,in] as [in,out]; others as they are."""
    return array.transpose({4: (2, 3, 1, 0), 2: (1, 0)}.get(array.ndim, range(array.ndim)))
