"""Weights of the reference network under segmentation_models.pytorch's names."""

from collections.abc import Mapping
from typing import Any

import flax.traverse_util
import numpy as np

_STAGES = {'1': 3, '2': 4, '3': 6, '4': 3}


def from_smp(state_dict: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Variables of `deeplab.DeepLabV3Plus` from those of smp's ResNet-34 DeepLabV3+.

    Args:
        state_dict: names of `segmentation_models_pytorch.DeepLabV3Plus('resnet34').state_dict()`
            to arrays in PyTorch's layout.

    Returns:
        `{'params': ..., 'batch_stats': ...}` for `DeepLabV3Plus.apply`, float32.

    Raises:
        ValueError: a tensor is missing, or one is of no layer of the network.
    """
    flat = {}
    used = set()
    for ours, theirs in _layers():
        for leaf, name, convert in _LEAVES[_kind(ours)]:
            key = f'{theirs}.{name}'
            if key not in state_dict:
                raise ValueError(f'pretrained weights: tensor {key!r} is missing')
            used.add(key)
            collection = 'batch_stats' if leaf in ('mean', 'var') else 'params'
            array = np.asarray(state_dict[key], np.float32)
            flat[collection, *ours.split('/'), leaf] = convert(array)
    extra = [k for k in state_dict if k not in used and not k.endswith('num_batches_tracked')]
    if extra:
        raise ValueError(f'pretrained weights: tensor {extra[0]!r} is of no layer of the network')
    return flax.traverse_util.unflatten_dict(flat)


def _layers() -> list[tuple[str, str]]:
    """Each parameterised layer of a branch: (our path, smp's prefix)."""
    pairs = [('encoder/stem/conv', 'encoder.conv1'), ('encoder/stem/bn', 'encoder.bn1')]
    for stage, blocks in _STAGES.items():
        for block in range(blocks):
            ours, theirs = (
                f'encoder/stage{stage}_block{block + 1}',
                f'encoder.layer{stage}.{block}',
            )
            for i in (1, 2):
                pairs += [
                    (f'{ours}/conv{i}/conv', f'{theirs}.conv{i}'),
                    (f'{ours}/conv{i}/bn', f'{theirs}.bn{i}'),
                ]
            if block == 0 and stage != '1':
                pairs += [
                    (f'{ours}/shortcut/conv', f'{theirs}.downsample.0'),
                    (f'{ours}/shortcut/bn', f'{theirs}.downsample.1'),
                ]
    aspp = 'decoder.aspp.0'
    pairs += _conv_bn('aspp/pointwise', f'{aspp}.convs.0.0', f'{aspp}.convs.0.1')
    for i, rate in enumerate((12, 24, 36), start=1):
        pairs += _separable(f'aspp/atrous{rate}', f'{aspp}.convs.{i}.0', f'{aspp}.convs.{i}.1')
    pairs += _conv_bn('aspp/pool', f'{aspp}.convs.4.1', f'{aspp}.convs.4.2')
    pairs += _conv_bn('aspp/project', f'{aspp}.project.0', f'{aspp}.project.1')
    pairs += _separable('aspp/refine', 'decoder.aspp.1', 'decoder.aspp.2')
    pairs += _conv_bn('decoder/low', 'decoder.block1.0', 'decoder.block1.1')
    pairs += _separable('decoder/fuse', 'decoder.block2.0', 'decoder.block2.1')
    return [*pairs, ('head', 'segmentation_head.0')]


def _conv_bn(ours: str, conv: str, bn: str) -> list[tuple[str, str]]:
    return [(f'{ours}/conv', conv), (f'{ours}/bn', bn)]


def _separable(ours: str, convs: str, bn: str) -> list[tuple[str, str]]:
    return [
        (f'{ours}/depthwise', f'{convs}.0'),
        (f'{ours}/pointwise', f'{convs}.1'),
        (f'{ours}/bn', bn),
    ]


def _kind(path: str) -> str:
    name = path.rsplit('/', 1)[-1]
    return name if name in ('bn', 'depthwise', 'head') else 'conv'


def _conv_kernel(weight: np.ndarray) -> np.ndarray:
    """[out,in,kh,kw] -> [kh,kw,in,out], or [in,out] where the kernel has one pixel."""
    kernel = weight.transpose(2, 3, 1, 0)
    return kernel[0, 0] if kernel.shape[:2] == (1, 1) else kernel


_as_is = np.asarray
_LEAVES = {
    'conv': [('kernel', 'weight', _conv_kernel)],
    'depthwise': [('kernel', 'weight', lambda weight: weight[:, 0].transpose(1, 2, 0))],
    'bn': [
        ('scale', 'weight', _as_is),
        ('bias', 'bias', _as_is),
        ('mean', 'running_mean', _as_is),
        ('var', 'running_var', _as_is),
    ],
    'head': [('kernel', 'weight', _conv_kernel), ('bias', 'bias', _as_is)],
}
