"""Devices that do not suit, as stand-ins and by what XLA says of them."""

import types

import jax
import pytest

from ocelot_jax.inference import devices
from ocelot_jax.inference.engines import network
from ocelot_jax.io.errors import InputError

# what XLA said to others
OF_GPUS = (
    'RESOURCE_EXHAUSTED: Out of memory while trying to allocate 4770354232 bytes.\n'
    'BufferAssignment OOM Debugging.\nPeak buffers:\n\tBuffer 1:\n'
)
OF_TPUS = (
    'RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in memory space hbm.'
)
OF_AUTOTUNING = 'UNKNOWN: CUDNN_STATUS_ALLOC_FAILED\nin external/xla/xla/stream_executor/dnn.cc'


def device(kind, number=0, host=0):
    return types.SimpleNamespace(device_kind=kind, local_hardware_id=number, process_index=host)


def test_equal_devices_are_alike():
    devices.check_alike(
        [device('NVIDIA A100', number, host) for host in (0, 1) for number in (0, 1)]
    )


def test_unlike_devices_are_named():
    mixed = [device('NVIDIA A100'), device('NVIDIA T4', 1), device('NVIDIA A100', 0, 1)]
    with pytest.raises(InputError) as caught:
        devices.check_alike(mixed)
    line = str(caught.value)
    assert 'NVIDIA A100: 0 of host 0, 0 of host 1; NVIDIA T4: 1 of host 0' in line
    assert 'CUDA_VISIBLE_DEVICES' in line
    assert '\n' not in line


def test_the_network_wants_equal_devices(monkeypatch):
    monkeypatch.setattr(jax, 'local_devices', lambda: [device('TPU v4'), device('TPU v5', 1)])
    with pytest.raises(InputError, match='not alike'):
        network.prepare(None)


@pytest.mark.parametrize(
    ('said', 'amount'),
    [(OF_GPUS, '4770354232 bytes more'), (OF_TPUS, 'suffice;'), (OF_AUTOTUNING, 'suffice;')],
)
def test_a_lack_of_memory_is_one_line(said, amount):
    with (
        pytest.raises(devices.OutOfMemoryError, match=amount) as caught,
        devices.exhaustion_as_error('want less'),
    ):
        raise jax.errors.JaxRuntimeError(said)
    assert str(caught.value).endswith('; want less')
    assert '\n' not in str(caught.value)


def test_other_errors_of_xla_stay_as_they_are():
    with pytest.raises(jax.errors.JaxRuntimeError), devices.exhaustion_as_error('want less'):
        raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Shared memory size limit exceeded')
