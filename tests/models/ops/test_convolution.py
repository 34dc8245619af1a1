"""Convolutions against XLA's own, forward and backward, whichever way they are computed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from ocelot_jax.models.ops import convolution, winograd

# of the outputs and of the gradients by input and kernel
TOLERANCES = (2e-5, 5e-5, 5e-5)


def reference(x, kernel, stride=1, dilation=1):
    padding = dilation * (kernel.shape[0] // 2)
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        [(padding, padding)] * 2,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    )


def draw(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in shapes]


def assert_near(actual, wanted, tolerance):
    """Compares within a share of the largest value: rounding is that of the whole sum."""
    assert actual.shape == wanted.shape
    assert float(jnp.abs(actual - wanted).max()) <= tolerance * float(jnp.abs(wanted).max())


@pytest.mark.parametrize('tile', [2, 4])
@pytest.mark.parametrize('shape', [(1, 4, 4, 3), (2, 8, 12, 5)])
def test_winograd_computes_the_convolution_and_its_gradients(tile, shape):
    *size, channels = shape
    x, kernel, grad = draw(shape, (3, 3, channels, 7), (*size, 7))

    @jax.jit
    def both(x, kernel, grad):
        wanted, vjp = jax.vjp(reference, x, kernel)
        forward = winograd.conv(x, winograd.transform_kernel(kernel, tile))
        actual = forward, *winograd.conv_vjp(x, kernel, grad, tile)
        return actual, (wanted, *vjp(grad))

    for actual, wanted, tolerance in zip(*both(x, kernel, grad), TOLERANCES, strict=True):
        assert_near(actual, wanted, tolerance)


@pytest.mark.parametrize('pixels', [1, 10**9], ids=['tile4', 'tile2'])
@pytest.mark.parametrize(
    ('shape', 'kernel_size', 'features', 'stride', 'dilation'),
    [
        ((2, 8, 8, 40), 3, 33, 1, 1),
        ((2, 8, 8, 40), 3, 33, 1, 2),
        ((1, 9, 6, 32), 3, 32, 1, 2),
        ((1, 5, 7, 32), 3, 32, 1, 1),
        ((1, 1, 2, 32), 3, 32, 1, 2),
        ((2, 8, 10, 32), 3, 32, 2, 1),
        ((2, 8, 10, 3), 3, 32, 1, 1),
        ((2, 12, 10, 3), 7, 8, 2, 1),
        ((1, 11, 12, 3), 7, 8, 2, 1),
    ],
)
def test_conv_equals_the_plain_formulation(
    monkeypatch, pixels, shape, kernel_size, features, stride, dilation
):
    monkeypatch.setattr(convolution, '_MANY_PIXELS', pixels)
    conv = lambda x, kernel: convolution.conv(x, kernel, stride, dilation)
    plain = lambda x, kernel: reference(x, kernel, stride, dilation)
    x, kernel = draw(shape, (kernel_size, kernel_size, shape[-1], features))
    [grad] = draw(jax.eval_shape(plain, x, kernel).shape, seed=1)

    @jax.jit
    def both(x, kernel, grad):
        results = []
        for function in (conv, plain):
            y, vjp = jax.vjp(function, x, kernel)
            results.append((y, *vjp(grad)))
        return results

    for actual, wanted, tolerance in zip(*both(x, kernel, grad), TOLERANCES, strict=True):
        assert_near(actual, wanted, tolerance)


@pytest.mark.parametrize(
    ('size', 'dilation'), [((8, 8), 2), ((7, 9), 2), ((1, 2), 2), ((7, 9), 3)]
)
def test_gradients_of_gpus_are_those_of_the_plain_formulation(size, dilation):
    x, kernel, grad = draw((2, *size, 3), (3, 3, 3, 5), (2, *size, 5))

    @jax.jit
    def both(x, kernel, grad):
        _, vjp = jax.vjp(lambda *a: reference(*a, dilation=dilation), x, kernel)
        return convolution._cuda_backward(x, kernel, grad, 1, dilation), vjp(grad)

    for actual, wanted in zip(*both(x, kernel, grad), strict=True):
        assert_near(actual, wanted, 1e-5)


@pytest.mark.parametrize(('platform', 'native'), [('cpu', False), ('cuda', True), ('tpu', True)])
def test_only_cpus_do_without_the_native_convolution(platform, native):
    x, kernel = draw((1, 8, 8, 32), (3, 3, 32, 32))

    def loss(x, kernel):
        return convolution.conv(x, kernel).sum()

    lowered = (
        jax.jit(jax.grad(loss, (0, 1))).trace(x, kernel).lower(lowering_platforms=(platform,))
    )
    assert ('stablehlo.convolution' in lowered.as_text()) == native


def test_bfloat16_stays_with_the_native_convolution():
    x, kernel = draw((1, 8, 8, 32), (3, 3, 32, 32))
    x, kernel = x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16)
    assert convolution.conv(x, kernel).dtype == jnp.bfloat16
    assert 'stablehlo.convolution' in jax.jit(convolution.conv).lower(x, kernel).as_text()
