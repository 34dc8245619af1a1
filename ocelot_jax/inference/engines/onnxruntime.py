"""ONNX Runtime on the CPU, float32."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ocelot_jax.inference.engine import Engine
from ocelot_jax.inference.engines import exported
from ocelot_jax.models import factory


def prepare(model: factory.Model) -> Callable[[Any], Engine]:
    """As `exported.prepare`."""
    return exported.prepare(model, 'onnxruntime', '--engine=onnxruntime', open_graph)


def open_graph(graph: Path) -> exported.Session:
    """Opens an ONNX file in ONNX Runtime."""
    onnxruntime = exported.require('onnxruntime', 'ONNX Runtime')
    session = onnxruntime.InferenceSession(graph, providers=['CPUExecutionProvider'])
    names = [value.name for value in session.get_inputs()]
    return exported.Session(names, functools.partial(session.run, None))
