"""The weights of the golden file, made from their names."""

import zlib

import numpy as np


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
