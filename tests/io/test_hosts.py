"""What hosts tell each other; here each is a thread."""

import threading
from concurrent import futures

import jax
import numpy as np
from jax.experimental import multihost_utils

from ocelot_jax.io import hosts


def test_values_of_any_size_reach_all_hosts(monkeypatch):
    values = [{'organ': 'k\u00e4' * 40}, None, np.arange(300)]
    said = {}
    together = threading.Barrier(len(values), timeout=60)

    def allgather(array):
        said[threading.get_ident()] = array
        together.wait()
        arrays = [said[ident] for ident in idents]
        together.wait()
        return np.stack(arrays)

    def host(index):
        idents[index] = threading.get_ident()
        return hosts.gather(values[index])

    idents = [0] * len(values)
    monkeypatch.setattr(jax, 'process_count', lambda: len(values))
    monkeypatch.setattr(multihost_utils, 'process_allgather', allgather)
    with futures.ThreadPoolExecutor(len(values)) as pool:
        for heard in pool.map(host, range(len(values))):
            assert heard[:2] == values[:2]
            np.testing.assert_array_equal(heard[2], values[2])


def test_a_single_host_hears_itself():
    value = object()
    assert hosts.gather(value) == [value]
