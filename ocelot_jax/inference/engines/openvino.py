"""OpenVINO on the CPU, float32 or bfloat16."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ocelot_jax.inference.engine import Engine
from ocelot_jax.inference.engines import exported
from ocelot_jax.models import factory


def prepare(model: factory.Model) -> Callable[[Any], Engine]:
    """As `exported.prepare`."""
    return exported.prepare(model, 'openvino', '--engine=openvino', open_graph)


def prepare_bf16(model: factory.Model) -> Callable[[Any], Engine]:
    """As `prepare`, in bfloat16 where the processor has it."""
    open_bf16 = functools.partial(open_graph, precision='bf16')
    return exported.prepare(model, 'openvino', '--engine=openvino-bf16', open_bf16)


def open_graph(graph: Path, precision: str = 'f32') -> exported.Session:
    """Opens an ONNX file in OpenVINO; `precision` is f32 or bf16.

    In bfloat16, whose 8 bits hold no place among a thousand pixels, OpenVINO leaves in float32
    what leads to an output: so the weights by which maps are moved become outputs.
    """
    openvino = exported.require('openvino', 'OpenVINO')
    from ocelot_jax.interop.onnx_graph import alignment  # needs an extra

    core = openvino.Core()
    model = core.read_model(graph)
    count = len(model.outputs)
    nodes = [node.get_friendly_name() for node in model.get_ordered_ops()]
    model.add_outputs([name for name in nodes if name.startswith(alignment.WEIGHTS)])
    # one batch at a time, by all cores
    hints = {'INFERENCE_PRECISION_HINT': precision, 'PERFORMANCE_HINT': 'LATENCY'}
    compiled = core.compile_model(model, 'CPU', hints)

    def run(arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
        result = compiled(arrays)
        return [result[output] for output in compiled.outputs[:count]]

    return exported.Session([value.any_name for value in compiled.inputs], run)
