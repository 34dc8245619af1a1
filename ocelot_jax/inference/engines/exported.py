"""Networks that another program runs, from an ONNX graph written for it."""

import functools
import importlib
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import jax
import numpy as np

from ocelot_jax.inference.engine import Batch, Engine, Maps
from ocelot_jax.io import disk
from ocelot_jax.io.errors import MissingPackageError
from ocelot_jax.models import factory


def require(package: str, what: str) -> ModuleType:
    """Imports a package of the `[export]` extra.

    Raises:
        MissingPackageError: it is not installed; `what` needs it.
    """
    # OpenVINO's import would report to its makers, from a fork that JAX's threads may not survive
    modules: dict[str, Any] = sys.modules  # None forbids an import
    modules.setdefault('openvino_telemetry', None)
    try:
        return importlib.import_module(package)
    except ImportError:
        raise MissingPackageError(
            f"{what}: needs {package}, which is not installed: pip install 'ocelot_jax[export]'"
        ) from None


def prepare(
    model: factory.Model, program: str, flag: str, open_graph: Callable[[Path], 'Session']
) -> Callable[[Any], Engine]:
    """Makes the function that binds variables to a network run by a program; see `engines.create`.

    Raises:
        MissingPackageError: ONNX or the program is not installed.
    """
    for package in ('onnx', program):
        require(package, flag)
    return lambda variables: Exported(model, jax.device_get(variables), open_graph)


Size = tuple[int, int]  # (H, W)


class Session(NamedTuple):
    """A graph that can be run.

    Attributes:
        inputs: names of its inputs.
        run: from arrays by these names to the outputs in order.
    """

    inputs: Sequence[str]
    run: Callable[[dict[str, np.ndarray]], Sequence[np.ndarray]]


def start(graph: Any, open_graph: Callable[[Path], Session]) -> Session:
    """Opens an ONNX model by way of a temporary file.

    Its weights lie in a file beside it: within the model they would be copied several times, and
    could be 2 GiB at most.

    Raises:
        OutputError: the disk of temporary files is full.
    """
    onnx = require('onnx', 'an exported network')
    place = Path(tempfile.gettempdir())
    advice = 'want room for the weights there, or another folder as TMPDIR'
    with disk.full_as_error(place, advice), tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / 'network.onnx'
        onnx.save_model(graph, file, save_as_external_data=True, location='weights')
        return open_graph(file)


class Exported:
    """A network that another program runs, as `engines.network` computes it.

    Each size of patches has a graph of its own, written when it is first seen. `variables` are
    NumPy arrays.
    """

    def __init__(
        self, model: factory.Model, variables: Any, open_graph: Callable[[Path], Session]
    ):
        from ocelot_jax.interop import onnx_graph  # needs an extra

        def write(cell: Size, tissue: Size) -> Session:
            return start(onnx_graph.to_onnx(model, variables, cell, tissue), open_graph)

        self._shares_tissue = factory.shares_tissue(model)
        self._open = functools.cache(write)

    def __call__(self, batch: Batch) -> Maps:
        cells, tissues = batch['cell_image'], batch['tissue_image']
        session = self._open(cells.shape[1:3], tissues.shape[1:3])
        count = len(tissues)
        if not self._shares_tissue:
            batch = {**batch, 'tissue_image': np.repeat(tissues, len(cells) // count, axis=0)}
        arrays = {name: np.ascontiguousarray(batch[name]) for name in session.inputs}
        cell, *others = session.run(arrays)
        if not others:
            return Maps(cell, None)
        [tissue] = others
        if len(tissue) > count:
            tissue = tissue.reshape(count, -1, *tissue.shape[1:]).mean(1)
        return Maps(cell, tissue)
