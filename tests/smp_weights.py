"""Weights under the names of segmentation_models.pytorch and of torchvision."""

import functools
import zlib

import flax.traverse_util
import jax
import numpy as np

from benchmarks import random_weights
from ocelot_jax.interop import smp
from ocelot_jax.models import deeplab


def from_smp(state_dict):
    """Variables of a `DeepLabV3Plus` from a state dict of smp's."""
    wanted = smp.tensors(smp.encoder_of(state_dict))
    return flax.traverse_util.unflatten_dict(smp.convert(state_dict, wanted))


def smp_weights(names, shapes, seed):
    """The golden file's weights, made from their names by the formula of FACTS.md."""
    weights = {}
    for name, text in zip(names, shapes, strict=True):
        shape = tuple(int(n) for n in str(text).split(',') if n)
        rng = np.random.Generator(np.random.PCG64([seed, zlib.crc32(str(name).encode())]))
        noise = rng.standard_normal(shape)
        if name.endswith('num_batches_tracked'):
            value = np.zeros(shape, np.int64)
        elif name.endswith('running_var'):
            value = 1 + 0.1 * np.abs(noise)
        elif name.endswith(('running_mean', 'bias')):
            value = 0.1 * noise
        elif len(shape) == 4:
            value = noise * np.sqrt(2 / np.prod(shape[1:]))
        else:
            value = 1 + 0.1 * noise
        weights[str(name)] = value if value.dtype == np.int64 else value.astype(np.float32)
    return weights


@functools.cache
def branch_shapes(encoder, num_classes):
    model = deeplab.DeepLabV3Plus(num_classes, encoder)
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), np.float32)
    return jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)


def random_state_dict(encoder, num_classes=3, seed=0):
    """Weights for smp's names, shaped as our network wants them, made without the golden file."""
    return smp.to_smp(random_weights.draw(branch_shapes(encoder, num_classes), seed))


def torchvision_resnet(encoder, seed=0):
    """The encoder's part under the names that torchvision and timm give it, with a classifier."""
    whole = random_state_dict(encoder, seed=seed)
    prefix = 'encoder.'
    own = {k.removeprefix(prefix): v for k, v in whole.items() if k.startswith(prefix)}
    width = 2048 if encoder == 'resnet50' else 512
    return own | {
        'fc.weight': np.zeros((1000, width), np.float32),
        'fc.bias': np.zeros(1000, np.float32),
    }
