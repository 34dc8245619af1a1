"""What computes: devices of one kind, and one line where their memory does not suffice."""

import collections
import contextlib
import re
from collections.abc import Iterator, Sequence

import jax

from ocelot_jax.io.errors import InputError

# as allocators and autotuners say it, at compilation or at any later time
_NO_MEMORY = re.compile(r'out.of.memory|failed to allocate|alloc_failed', re.IGNORECASE)
_AMOUNT = re.compile(r'allocat\w+ (?:request for )?([\d.]+ ?(?:[KMGT]i?B|bytes))')


class OutOfMemoryError(InputError):
    """What is to be computed does not fit into the memory of a device."""


def check_alike(devices: Sequence[jax.Device]) -> None:
    """Checks that the devices are of one kind, as work that is split evenly needs them.

    Raises:
        InputError: they are not.
    """
    places = collections.defaultdict(list)
    for device in devices:
        place = f'{device.local_hardware_id} of host {device.process_index}'
        places[device.device_kind].append(place)
    if len(places) > 1:
        kinds = '; '.join(f'{kind}: {", ".join(some)}' for kind, some in places.items())
        raise InputError(
            f'the devices are not alike ({kinds}); want one kind: let each host see its own by '
            'their numbers, such as CUDA_VISIBLE_DEVICES=0,1 for NVIDIA GPUs'
        )


def check_type(dtype: str) -> None:
    """Checks that the devices train in a type no slower than in float32.

    Raises:
        InputError: they do not.
    """
    if dtype != 'float32' and jax.default_backend() == 'cpu':
        raise InputError(
            f'config.model.dtype: {dtype} takes CPUs up to three times as long as float32; want '
            'float32 there'
        )


@contextlib.contextmanager
def exhaustion_as_error(advice: str) -> Iterator[None]:
    """Within the context a lack of memory on a device is one line, which ends with `advice`.

    Raises:
        OutOfMemoryError: the memory of a device did not suffice.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        text = str(error)
        if not _NO_MEMORY.search(text):
            raise
        amount = _AMOUNT.search(text)
        wanted = f' ({amount[1]} more were wanted)' if amount else ''
        kind = jax.local_devices()[0].device_kind
        raise OutOfMemoryError(
            f'the memory of a device ({kind}) does not suffice{wanted}; {advice}'
        ) from error
