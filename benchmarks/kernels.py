"""Where the time of a call goes: its longest kernels, read from a trace of JAX's profiler."""

import collections
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax


def longest(call: Callable[[], Any], runs: int = 3, count: int = 10) -> list[dict[str, Any]]:
    """Traces calls that have been made once before.

    Args:
        call: gives arrays to wait for.
        runs: calls that are traced.
        count: kernels to give.

    Returns:
        The kernels of the longest total time: name, milliseconds and launches of one call, and
        share of the time of all.
    """
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(runs):
                jax.block_until_ready(call())
        [path] = Path(folder).rglob('*.xplane.pb')
        trace = jax.profiler.ProfileData.from_file(str(path))
        durations, launches = collections.Counter(), collections.Counter()
        for name, nanoseconds in _events(trace):
            durations[name] += nanoseconds
            launches[name] += 1
    return [
        {
            'name': name,
            'ms': round(duration / runs / 1e6, 3),
            'launches': launches[name] // runs,
            'share': round(duration / durations.total(), 3),
        }
        for name, duration in durations.most_common(count)
    ]


def _events(trace: Any) -> Iterator[tuple[str, float]]:
    """Names and nanoseconds: kernels in the streams of a GPU, operations of XLA elsewhere."""
    streams = [
        line
        for plane in trace.planes
        if plane.name.startswith('/device:GPU')
        for line in plane.lines
        if line.name.startswith('Stream')
    ]
    if streams:
        for line in streams:
            for event in line.events:
                yield event.name, event.duration_ns
        return
    for plane in trace.planes:
        for line in plane.lines:
            for event in line.events:
                if any(name == 'hlo_op' for name, _ in event.stats):
                    yield event.name, event.duration_ns
