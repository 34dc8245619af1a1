"""Programs that compute a network's class probabilities, each an `inference.Engine`.

| name            | computes with                                                                |
|-----------------|------------------------------------------------------------------------------|
| `xla`           | the jitted network, on any device; the default and the reference             |
| `onnxruntime`   | ONNX Runtime on the CPU, float32                                             |
| `openvino`      | OpenVINO on the CPU, float32                                                 |
| `openvino-bf16` | OpenVINO on the CPU, bfloat16 where the processor has it: faster, less exact |

All but the first need the `[export]` extra.
"""

import functools
import importlib
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import jax
import ml_collections
import numpy as np

from ocelot_jax.data import augmentation
from ocelot_jax.inference import loop
from ocelot_jax.io.errors import InputError
from ocelot_jax.models import factory
from ocelot_jax.runs import loading

Batch = loop.Batch
Probabilities = tuple[np.ndarray, np.ndarray | None]

ENGINES = ('xla', 'onnxruntime', 'openvino', 'openvino-bf16')


def create(
    name: str, config: ml_collections.ConfigDict, variables: Any, ensemble: bool = False
) -> loop.Engine:
    """Makes the engine of that name.

    Args:
        name: one of `ENGINES`.
        config: as `configs/default.py`.
        variables: the model's, or those of several as `inference.stack` joins them.
        ensemble: whether they are of several.

    Raises:
        InputError: there is no such engine, or the program is not installed.
    """
    if name == 'xla':
        return loop.create_engine(config, variables, ensemble)
    if name not in ENGINES:
        raise InputError(f'--engine: {name!r}; want one of {", ".join(ENGINES)}')
    program, _, precision = name.partition('-')
    for package in ('onnx', program):
        require(package, f'--engine={name}')
    open_graph = open_onnxruntime
    if program == 'openvino':
        open_graph = functools.partial(open_openvino, precision=precision or 'f32')
    model = factory.create_model(config)
    variables = jax.device_get(variables)
    members = _unstack(variables) if ensemble else [variables]
    engines = [Exported(model, member, open_graph) for member in members]
    engine = engines[0] if len(engines) == 1 else functools.partial(_mean, engines)
    return functools.partial(_symmetric, engine) if config.test_time_augmentation else engine


def of_runs(runs: loading.LoadedRuns, name: str = 'xla') -> loop.Engine:
    """Makes the engine of that name for one run, or several that are averaged."""
    return create(name, runs.config, join(runs), runs.ensemble)


def join(runs: loading.LoadedRuns) -> Any:
    """Gives the variables of a run; those of several, stacked."""
    return loop.stack(runs.variables) if runs.ensemble else runs.variables[0]


def require(package: str, what: str) -> ModuleType:
    """Imports a package of the `[export]` extra.

    Raises:
        InputError: it is not installed; `what` needs it.
    """
    # OpenVINO's import would report to its makers, from a fork that JAX's threads may not survive
    sys.modules.setdefault('openvino_telemetry', None)
    try:
        return importlib.import_module(package)
    except ImportError:
        raise InputError(
            f"{what}: needs {package}, which is not installed: pip install 'ocelot_jax[export]'"
        ) from None


class Session:
    """A graph that can be run.

    Attributes:
        inputs: names of its inputs.
        run: from arrays by these names to the outputs in order.
    """

    def __init__(
        self, inputs: Sequence[str], run: Callable[[dict[str, np.ndarray]], Sequence[np.ndarray]]
    ):
        self.inputs, self.run = tuple(inputs), run


def open_onnxruntime(graph: bytes) -> Session:
    """Opens a graph in ONNX Runtime."""
    onnxruntime = require('onnxruntime', 'ONNX Runtime')
    session = onnxruntime.InferenceSession(graph, providers=['CPUExecutionProvider'])
    names = [value.name for value in session.get_inputs()]
    return Session(names, functools.partial(session.run, None))


def open_openvino(graph: bytes, precision: str = 'f32') -> Session:
    """Opens a graph in OpenVINO; `precision` is f32 or bf16.

    In bfloat16, whose 8 bits hold no place among a thousand pixels, OpenVINO leaves in float32
    what leads to an output: so the weights by which maps are moved become outputs.
    """
    openvino = require('openvino', 'OpenVINO')
    from ocelot_jax.interop.onnx_graph import alignment  # needs an extra

    core = openvino.Core()
    model = core.read_model(graph, b'')
    count = len(model.outputs)
    nodes = [node.get_friendly_name() for node in model.get_ordered_ops()]
    model.add_outputs([name for name in nodes if name.startswith(alignment.WEIGHTS)])
    # one batch at a time, by all cores
    hints = {'INFERENCE_PRECISION_HINT': precision, 'PERFORMANCE_HINT': 'LATENCY'}
    compiled = core.compile_model(model, 'CPU', hints)

    def run(arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
        result = compiled(arrays)
        return [result[output] for output in compiled.outputs[:count]]

    return Session([value.any_name for value in compiled.inputs], run)


class Exported:
    """A network that another program runs, as `inference.probabilities` computes it.

    Each size of patches has a graph of its own, written when it is first seen.

    Args:
        model: from `network.create_model`.
        variables: the model's, as NumPy arrays.
        open_graph: opens a graph.
    """

    def __init__(
        self, model: factory.Model, variables: Any, open_graph: Callable[[bytes], Session]
    ):
        self._shares_tissue = factory.shares_tissue(model)
        self._open = functools.cache(
            lambda cell, tissue: open_graph(_write(model, variables, cell, tissue))
        )

    def __call__(self, batch: Batch) -> Probabilities:
        images = batch['cell_image'], batch['tissue_image']
        session = self._open(*(image.shape[1:3] for image in images))
        count = len(images[1])
        if not self._shares_tissue:
            shared = len(images[0]) // count
            batch = {**batch, 'tissue_image': np.repeat(images[1], shared, axis=0)}
        arrays = {name: np.ascontiguousarray(batch[name]) for name in session.inputs}
        cell, *tissue = session.run(arrays)
        if not tissue:
            return cell, None
        [tissue] = tissue
        if len(tissue) > count:
            tissue = tissue.reshape(count, -1, *tissue.shape[1:]).mean(1)
        return cell, tissue


def _write(
    model: factory.Model, variables: Any, cell: tuple[int, int], tissue: tuple[int, int]
) -> bytes:
    from ocelot_jax.interop import onnx_graph  # needs an extra

    return onnx_graph.to_onnx(model, variables, cell, tissue).SerializeToString()


def _unstack(members: Any) -> list[Any]:
    """Undoes `inference.stack`."""
    leaves, structure = jax.tree.flatten(members)
    return [structure.unflatten(member) for member in zip(*leaves, strict=True)]


def _mean(engines: Sequence[loop.Engine], batch: Batch) -> Probabilities:
    return _average([engine(batch) for engine in engines])


def _symmetric(engine: loop.Engine, batch: Batch) -> Probabilities:
    """The mean over the eight symmetries of the square."""
    return _average([_unturn(engine(_turn(batch, *way)), *way) for way in np.ndindex(2, 4)])


def _turn(batch: Batch, flip: int, quarter_turns: int) -> Batch:
    """A batch flipped horizontally, or not, then turned counter-clockwise."""
    turned = dict(batch)
    for name in ('cell_image', 'tissue_image', 'tissue_mask'):
        if name in batch:
            image = np.flip(batch[name], 2) if flip else batch[name]
            turned[name] = np.rot90(image, quarter_turns, (1, 2))
    turn_center = jax.vmap(augmentation.turn, (0, None, None))
    center = turn_center({'center': batch['center']}, bool(flip), quarter_turns)['center']
    return {**turned, 'center': np.asarray(center)}


def _unturn(maps: Probabilities, flip: int, quarter_turns: int) -> Probabilities:
    """Undoes `_turn` on maps."""
    maps = jax.tree.map(lambda x: np.rot90(x, -quarter_turns, (1, 2)), maps)
    return jax.tree.map(lambda x: np.flip(x, 2), maps) if flip else maps


def _average(results: Sequence[Probabilities]) -> Probabilities:
    return jax.tree.map(lambda *maps: sum(maps) / len(maps), *results)
