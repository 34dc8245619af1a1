"""OpenVINO on the CPU, float32 or bfloat16."""

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ocelot_jax.inference.engine import Engine
from ocelot_jax.inference.engines import exported
from ocelot_jax.models import factory

_ALIGNMENT = 64  # bytes


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
    outputs = _outputs(graph)
    nodes = [node.get_friendly_name() for node in model.get_ordered_ops()]
    model.add_outputs([name for name in nodes if name.startswith(alignment.WEIGHTS)])
    # one batch at a time, by all cores
    hints = {'INFERENCE_PRECISION_HINT': precision, 'PERFORMANCE_HINT': 'LATENCY'}
    compiled = core.compile_model(model, 'CPU', hints)
    request = compiled.create_infer_request()

    def run(arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
        # new ones each time, written where they stay: to copy large maps takes as long as a layer
        results = [_aligned((len(arrays[name]), *sides)) for name, sides in outputs]
        for index, result in enumerate(results):
            request.set_output_tensor(index, openvino.Tensor(result, shared_memory=True))
        found = request.infer(arrays, share_inputs=True, share_outputs=True)
        for index, result in enumerate(results):
            # where OpenVINO has fewer rows to write, the rest of the memory would pass for maps
            if found[index].shape != result.shape:
                raise ValueError(f'output {index}: {found[index].shape}, want {result.shape}')
        return results

    return exported.Session([value.any_name for value in compiled.inputs], run)


def _outputs(graph: Path) -> list[tuple[str, tuple[int, ...]]]:
    """For each output of an ONNX file, the input of as many rows, and the sides of a row."""
    import onnx

    written = onnx.load(graph, load_external_data=False).graph
    sides = {
        value.name: value.type.tensor_type.shape.dim for value in [*written.input, *written.output]
    }
    inputs = {sides[value.name][0].dim_param: value.name for value in written.input}
    return [
        (inputs[first.dim_param], tuple(side.dim_value for side in others))
        for first, *others in (sides[value.name] for value in written.output)
    ]


def _aligned(shape: tuple[int, ...]) -> np.ndarray:
    """Memory for float32 values that JAX on a CPU uses as it is; what is not aligned it copies."""
    size = math.prod(shape) * 4
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + size].view(np.float32).reshape(shape)
