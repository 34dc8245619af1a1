"""Layers against SciPy, NumPy brute forces and XLA's own convolution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from ocelot_jax.models import layers
from ocelot_jax.models.ops import depthwise as ops

SHAPE = (2, 6, 9, 3)
# sides of kernels and dilations: reaching less far than the map, the last that reaches across its
# height, past one side, past both
TAPS = ((3, 1), (3, 2), (3, 5), (3, 6), (3, 24), (7, 1), (7, 2), (5, 3))


def normal(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture(scope='module', params=TAPS)
def depthwise(request):
    """(dilation, inputs, outputs by branch): one compilation for all that is asserted.

    No CPU takes the accelerators' branch, so that it is called by its name.
    """
    side, dilation = request.param

    @jax.jit
    def call(x, kernel, grad):
        y, vjp = jax.vjp(lambda x, k: ops.depthwise_conv(x, k, dilation), x, kernel)
        native = ops._native_forward(x, kernel, dilation)
        native_grads = ops._native_backward(x, kernel, grad, dilation)
        return {'here': (y, *vjp(grad)), 'accelerator': (native, *native_grads)}

    inputs = normal(SHAPE), normal((side, side, SHAPE[-1]), 1), normal(SHAPE, 2)
    return dilation, inputs, call(*inputs)


def scipy_depthwise(x, kernel, dilation):
    """SciPy's correlation with the kernel written out with its holes."""
    reach = (len(kernel) - 1) * dilation + 1
    full = np.zeros((reach, reach, kernel.shape[-1]))
    full[::dilation, ::dilation] = kernel
    planes = [
        scipy.ndimage.correlate(x[b, ..., c].astype(float), full[..., c], mode='constant')
        for b in range(x.shape[0])
        for c in range(x.shape[-1])
    ]
    return np.moveaxis(np.reshape(planes, (x.shape[0], x.shape[-1], *x.shape[1:3])), 1, -1)


@pytest.mark.parametrize('branch', ['here', 'accelerator'])
def test_depthwise_is_scipys_correlation(depthwise, branch):
    dilation, (x, kernel, _), outputs = depthwise
    wanted = scipy_depthwise(x, kernel, dilation)
    np.testing.assert_allclose(outputs[branch][0], wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('branch', ['here', 'accelerator'])
def test_depthwise_gradients_are_scipys(depthwise, branch):
    dilation, (x, kernel, grad), outputs = depthwise
    _, grad_x, grad_kernel = outputs[branch]
    wanted = scipy_depthwise(grad, kernel[::-1, ::-1], dilation)
    np.testing.assert_allclose(grad_x, wanted, rtol=1e-5, atol=1e-5)
    wanted = np.zeros(kernel.shape)
    for tap in np.ndindex(kernel.shape[:2]):
        # the output is linear in the kernel: its derivative by a tap is what that tap sees
        one_tap = np.zeros_like(kernel)
        one_tap[tap] = 1
        wanted[tap] = (grad * scipy_depthwise(x, one_tap, dilation)).sum((0, 1, 2))
    np.testing.assert_allclose(grad_kernel, wanted, rtol=1e-5, atol=1e-4)


def lowered(platform, dilation):
    def loss(x, kernel):
        return (ops.depthwise_conv(x, kernel, dilation) ** 2).sum()

    traced = jax.jit(jax.value_and_grad(loss, (0, 1))).trace(normal(SHAPE), normal((3, 3, 3)))
    return traced.lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize(
    ('platform', 'dilation', 'native'),
    [('cuda', 1, True), ('cuda', 2, False), ('tpu', 2, True), ('cpu', 1, False)],
)
def test_depthwise_is_native_where_that_is_fast(platform, dilation, native):
    # forward, gradient of x, gradient of the kernel
    assert lowered(platform, dilation).count('stablehlo.convolution') == (3 if native else 0)


def test_gpus_get_strided_maps_before_they_are_multiplied():
    # XLA for GPUs ends the process where it fuses the two
    layer = layers.Conv(4, stride=2)
    variables = jax.eval_shape(layer.init, jax.random.key(0), normal(SHAPE))
    lowered = (
        jax.jit(layer.apply).trace(variables, normal(SHAPE)).lower(lowering_platforms=('cuda',))
    )
    lines = lowered.as_text().splitlines()
    order = ['stablehlo.slice', 'stablehlo.optimization_barrier', 'stablehlo.dot_general']
    assert [name for line in lines for name in order if name in line] == order


def brute_force_max_pool(x):
    """The maxima of windows 3, stride 2, padding 1, and the pixel that each was found at."""
    batch, height, width, channels = x.shape
    y = np.zeros((batch, (height + 1) // 2, (width + 1) // 2, channels), np.float32)
    places = {}
    for b, i, j, c in np.ndindex(*y.shape):
        window = [
            (x[b, row, column, c], (b, row, column, c))
            for row in range(max(2 * i - 1, 0), min(2 * i + 2, height))
            for column in range(max(2 * j - 1, 0), min(2 * j + 2, width))
        ]
        y[b, i, j, c], places[b, i, j, c] = max(window)
    return y, places


@pytest.mark.parametrize('size', [(6, 8), (7, 5), (6, 5), (1, 2)])
def test_max_pool_and_its_gradient(size):
    # all values differ and all are negative, so that padding with zeros would show
    shape = (2, *size, 2)
    x = -1 - np.random.default_rng(3).permutation(np.prod(shape)).reshape(shape).astype(np.float32)
    wanted, places = brute_force_max_pool(x)
    grad = normal(wanted.shape)

    @jax.jit
    def call(x):
        y, vjp = jax.vjp(layers.max_pool, x)
        return y, *vjp(grad)

    y, grad_x = call(x)
    np.testing.assert_array_equal(y, wanted)
    grad_wanted = np.zeros_like(x)
    for output, source in places.items():
        grad_wanted[source] += grad[output]
    np.testing.assert_allclose(grad_x, grad_wanted, atol=1e-6)


def test_max_pool_shares_the_gradient_of_equal_pixels():
    """On a plateau, as after ReLU, no gradient is lost, doubled or NaN."""
    grad_x = jax.jit(jax.grad(lambda x: layers.max_pool(x).sum()))(jnp.zeros((1, 7, 6, 2)))
    assert (grad_x >= 0).all()
    np.testing.assert_allclose(grad_x.sum(), 4 * 3 * 2, rtol=1e-6)


@pytest.mark.parametrize('size', [(13, 17), (3, 5), (5, 7), (9, 2), (1, 7)])
def test_resize_is_scipys_zoom(size):
    x = normal((2, 5, 7, 3))
    # SciPy aligns the corners' centers unless told otherwise
    factors = (1, size[0] / 5, size[1] / 7, 1)
    wanted = scipy.ndimage.zoom(x.astype(float), factors, order=1)
    got = jax.jit(layers.resize, static_argnums=1)(x, size)
    assert got.shape == (2, *size, 3)
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


def test_resize_of_one_pixel_is_constant():
    x = normal((2, 1, 1, 3))
    np.testing.assert_allclose(layers.resize(x, (4, 3)), np.broadcast_to(x, (2, 4, 3, 3)))


def brute_force_conv(x, kernel, stride, dilation):
    """PyTorch's Conv2d with padding = dilation * (kernel // 2)."""
    size = kernel.shape[0]
    pad = dilation * (size // 2)
    padded = np.pad(x.astype(float), ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    shape = [(n + 2 * pad - dilation * (size - 1) - 1) // stride + 1 for n in x.shape[1:3]]
    y = np.zeros((x.shape[0], *shape, kernel.shape[-1]))
    for row, column in np.ndindex(*shape):
        rows = row * stride + dilation * np.arange(size)
        columns = column * stride + dilation * np.arange(size)
        window = padded[:, rows][:, :, columns]
        y[:, row, column] = np.tensordot(window, kernel, 3)
    return y


@pytest.mark.parametrize(
    ('kernel', 'stride', 'dilation', 'size'),
    [
        (1, 1, 1, (5, 6)),
        (1, 2, 1, (5, 6)),
        (3, 1, 1, (5, 6)),
        (3, 2, 1, (5, 6)),
        (3, 1, 2, (5, 6)),
        (3, 1, 8, (5, 6)),
        (7, 2, 1, (10, 9)),
    ],
)
def test_conv_pads_and_strides_as_pytorch(kernel, stride, dilation, size):
    x, weights = normal((2, *size, 3)), normal((kernel, kernel, 3, 4), 1)
    # a kernel of size 1 is held as a matrix
    params = {'kernel': weights[0, 0] if kernel == 1 else weights}
    got = jax.jit(layers.Conv(4, kernel, stride, dilation).apply)({'params': params}, x)
    wanted = brute_force_conv(x, weights.astype(float), stride, dilation)
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


def test_batch_norm_statistics():
    """Training normalises by the batch and moves a tenth of the way to its moments."""
    layer = layers.BatchNorm()
    x = 3 + 2 * normal((4, 5, 6, 3))
    variables = layer.init(jax.random.key(0), x, train=False)
    y, updates = jax.jit(lambda v: layer.apply(v, x, train=True, mutable='batch_stats'))(variables)
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(var + 1e-5), rtol=1e-4, atol=1e-4)
    moved = updates['batch_stats']
    np.testing.assert_allclose(moved['mean'], 0.1 * mean, rtol=1e-4)
    np.testing.assert_allclose(moved['var'], 0.9 + 0.1 * var, rtol=1e-4)
    y = layer.apply(variables | updates, x, train=False)
    wanted = (x - 0.1 * mean) / np.sqrt(0.9 + 0.1 * var + 1e-5)
    np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-4)
