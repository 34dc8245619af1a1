"""Our layers under the names of segmentation_models.pytorch (smp), array by array."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import flax.traverse_util
import numpy as np

from ocelot_jax.io.errors import InputError
from ocelot_jax.models.deeplab import ASPP
from ocelot_jax.models.resnet import VARIANTS, Variant

Path = tuple[str, ...]
_Convert = Callable[[np.ndarray], np.ndarray]

_COUNTER = 'num_batches_tracked'


class Tensor(NamedTuple):
    """One array of a branch under both names.

    Attributes:
        path: of the leaf in flat variables, as ('params', 'encoder', 'stem', 'conv', 'kernel').
        name: in smp's state dict.
        to_ours: from PyTorch's layout to ours.
        to_theirs: the way back.
    """

    path: Path
    name: str
    to_ours: _Convert
    to_theirs: _Convert


def to_smp(variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Smp's state dict, counters at zero, of a DeepLabV3+; what a seam widened keeps its width."""
    flat = flax.traverse_util.flatten_dict(dict(variables))
    blocks = {path[2] for path in flat if path[2].startswith('stage')}
    bottleneck = ('params', 'encoder', 'stage1_block1', 'conv3', 'conv', 'kernel') in flat
    stages = tuple(sum(name.startswith(f'stage{i}') for name in blocks) for i in range(1, 5))
    [encoder] = [name for name, each in VARIANTS.items() if each == Variant(stages, bottleneck)]
    state_dict = {}
    for tensor in tensors(encoder):
        array = tensor.to_theirs(np.asarray(flat[tensor.path]))
        state_dict[tensor.name] = np.ascontiguousarray(array)
        if tensor.path[-1] == 'var':
            counter = f'{tensor.name.rpartition(".")[0]}.{_COUNTER}'
            state_dict[counter] = np.zeros((), np.int64)
    return state_dict


def convert(
    state_dict: Mapping[str, np.ndarray], wanted: Sequence[Tensor]
) -> dict[Path, np.ndarray]:
    """Flat variables, float32, from exactly the `wanted` tensors.

    Raises:
        InputError: one is missing, or there is a further one.
    """
    for tensor in wanted:
        if tensor.name not in state_dict:
            raise InputError(f'pretrained weights: tensor {tensor.name!r} is missing')
    known = {tensor.name for tensor in wanted}
    for name in state_dict:
        if name not in known and not name.endswith(_COUNTER):
            raise InputError(f'pretrained weights: tensor {name!r} is of no layer of the network')
    return {
        tensor.path: tensor.to_ours(np.asarray(state_dict[tensor.name], np.float32))
        for tensor in wanted
    }


def encoder_of(state_dict: Mapping[str, np.ndarray]) -> str:
    """Tells by its names which of `resnet.VARIANTS` a state dict holds."""
    if 'encoder.layer1.0.conv3.weight' in state_dict:
        return 'resnet50'
    return 'resnet34' if 'encoder.layer1.2.conv1.weight' in state_dict else 'resnet18'


def tensors(encoder: str) -> list[Tensor]:
    """Every array of a DeepLabV3+ with the encoder of that name."""
    return [
        Tensor((collection, *ours.split('/'), leaf), f'{theirs}.{name}', to_ours, to_theirs)
        for ours, theirs in _layers(VARIANTS[encoder])
        for collection, leaf, name, to_ours, to_theirs in _LEAVES.get(
            ours.rpartition('/')[2], [_KERNEL]
        )
    ]


def _layers(variant: Variant) -> Iterator[tuple[str, str]]:
    """Each parameterised layer of a branch: (our path, smp's prefix)."""
    yield from _conv_bn('encoder/stem', 'encoder.conv1', 'encoder.bn1')
    for stage, count in enumerate(variant.blocks, start=1):
        for block in range(count):
            ours = f'encoder/stage{stage}_block{block + 1}'
            theirs = f'encoder.layer{stage}.{block}'
            for i in range(1, 4 if variant.bottleneck else 3):
                yield from _conv_bn(f'{ours}/conv{i}', f'{theirs}.conv{i}', f'{theirs}.bn{i}')
            if block == 0 and (stage > 1 or variant.bottleneck):
                shortcut = f'{theirs}.downsample'
                yield from _conv_bn(f'{ours}/shortcut', f'{shortcut}.0', f'{shortcut}.1')
    aspp = 'decoder.aspp.0'
    yield from _conv_bn('aspp/pointwise', f'{aspp}.convs.0.0', f'{aspp}.convs.0.1')
    for i, rate in enumerate(ASPP.rates, start=1):
        yield from _separable(f'aspp/atrous{rate}', f'{aspp}.convs.{i}.0', f'{aspp}.convs.{i}.1')
    yield from _conv_bn('aspp/pool', f'{aspp}.convs.4.1', f'{aspp}.convs.4.2')
    yield from _conv_bn('aspp/project', f'{aspp}.project.0', f'{aspp}.project.1')
    yield from _separable('aspp/refine', 'decoder.aspp.1', 'decoder.aspp.2')
    yield from _conv_bn('decoder/low', 'decoder.block1.0', 'decoder.block1.1')
    yield from _separable('decoder/fuse', 'decoder.block2.0', 'decoder.block2.1')
    yield 'head', 'segmentation_head.0'


def _conv_bn(ours: str, conv: str, bn: str) -> list[tuple[str, str]]:
    return [(f'{ours}/conv', conv), (f'{ours}/bn', bn)]


def _separable(ours: str, convs: str, bn: str) -> list[tuple[str, str]]:
    names = {'depthwise': f'{convs}.0', 'pointwise': f'{convs}.1', 'bn': bn}
    return [(f'{ours}/{name}', theirs) for name, theirs in names.items()]


def _as_is(array: np.ndarray) -> np.ndarray:
    return array


def _to_kernel(weight: np.ndarray) -> np.ndarray:
    """[out,in,kh,kw] -> [kh,kw,in,out], or [in,out] where the kernel has one pixel."""
    kernel = weight.transpose(2, 3, 1, 0)
    return kernel[0, 0] if kernel.shape[:2] == (1, 1) else kernel


def to_weight(kernel: np.ndarray) -> np.ndarray:
    """[k,k,in,out], or [in,out] where k is 1, to [out,in,k,k]."""
    return (kernel if kernel.ndim == 4 else kernel[None, None]).transpose(3, 2, 0, 1)


def _to_depthwise_kernel(weight: np.ndarray) -> np.ndarray:
    """[C,1,3,3] -> [3,3,C]."""
    return weight[:, 0].transpose(1, 2, 0)


def to_depthwise_weight(kernel: np.ndarray) -> np.ndarray:
    """[3,3,C] to [C,1,3,3]."""
    return kernel.transpose(2, 0, 1)[:, None]


# our collection and leaf, smp's name, there and back
_Leaf = tuple[str, str, str, _Convert, _Convert]
_BIAS: _Leaf = ('params', 'bias', 'bias', _as_is, _as_is)
_KERNEL: _Leaf = ('params', 'kernel', 'weight', _to_kernel, to_weight)
# of layers that are no plain convolution
_LEAVES: dict[str, list[_Leaf]] = {
    'head': [_KERNEL, _BIAS],
    'depthwise': [('params', 'kernel', 'weight', _to_depthwise_kernel, to_depthwise_weight)],
    'bn': [
        ('params', 'scale', 'weight', _as_is, _as_is),
        _BIAS,
        ('batch_stats', 'mean', 'running_mean', _as_is, _as_is),
        ('batch_stats', 'var', 'running_var', _as_is, _as_is),
    ],
}
