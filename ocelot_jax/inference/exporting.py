"""A run's best epoch as an ONNX graph, checked against JAX.

The graph takes the pictures of pairs, in batches of any size, and gives the class probabilities
of every pixel; `interop.onnx_graph.to_onnx` names its inputs and outputs. Before the file appears,
what ONNX Runtime computes from it is compared with JAX.
"""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ocelot_jax.data.patches import Patches
from ocelot_jax.inference.engines import exported, network, onnxruntime
from ocelot_jax.io import atomic, disk
from ocelot_jax.io.errors import InputError
from ocelot_jax.models import factory
from ocelot_jax.runs import loading

_TOLERANCE = 1e-4
_PAIRS = 2


def export(workdir: Path, file: Path, patches: Patches | None = None) -> float:
    """Writes the best epoch of a run as an ONNX graph, and checks it against JAX.

    The graph is for `patches`; where None, for those that the run was trained on. What is given
    back is the largest difference of any probability on random pairs.

    Raises:
        MissingFileError: there is no run, or no folder for the file.
        InputError: its best epoch is not there, what it was trained on is not known, a package
            is not installed, or graph and JAX differ.
    """
    disk.check_folder(file)
    onnx = exported.require('onnx', 'the export')
    exported.require('onnxruntime', 'the check of the export')
    from ocelot_jax.interop import onnx_graph  # needs them

    run = loading.load_runs([workdir])
    [variables] = run.variables
    patches = patches or run.load_patches()
    # as the graph computes, and as CPUs do, whatever the run was trained in
    model = factory.create_model(run.config).clone(dtype='float32')
    cell, tissue = ((side, side) for side in (patches.cell_size, patches.tissue_size))
    values = {
        'cell_classes': ['no cell', *run.config.data.cell_classes],
        'tissue_classes': list(run.config.data.tissue_classes),
        'cell_mpp': patches.cell_mpp,
        'tissue_mpp': patches.tissue_mpp,
        'step': run.steps[0],
        'config': run.config.to_dict(),
    }
    metadata = {name: json.dumps(value) for name, value in values.items()}
    graph = onnx_graph.to_onnx(model, jax.device_get(variables), cell, tissue, metadata)
    onnx.checker.check_model(graph)
    with atomic.replacing(file) as temporary:
        onnx.save(graph, temporary)
        difference = compare(model, variables, temporary, random_pairs(patches))
        if not difference <= _TOLERANCE:
            raise InputError(
                f'{file}: probabilities of graph and JAX differ by {difference:.1e}, more than '
                f'{_TOLERANCE:.0e}; not written'
            )
    return difference


def compare(
    model: factory.Model, variables: Any, file: Path, batch: Mapping[str, np.ndarray]
) -> float:
    """The largest difference between JAX's probabilities and those that the graph `file` gives."""
    compute = jax.jit(functools.partial(network.probabilities, model))
    expected = [x for x in compute(variables, dict(batch)) if x is not None]
    session = onnxruntime.open_graph(file)
    found = session.run({name: batch[name] for name in session.inputs})
    # NumPy's maximum keeps what is not a number
    return float(np.max([np.abs(a - b).max() for a, b in zip(expected, found, strict=True)]))


def random_pairs(patches: Patches) -> dict[str, np.ndarray]:
    """Pairs of noise, their cell patches anywhere in their tissue patches."""
    rng = np.random.default_rng(0)

    def noise(side: int, *channels: int) -> np.ndarray:
        return rng.integers(0, 256, (_PAIRS, side, side, *channels), np.uint8)

    return {
        'cell_image': noise(patches.cell_size, 3),
        'tissue_image': noise(patches.tissue_size, 3),
        'tissue_mask': noise(patches.tissue_size) // 100,
        'center': rng.uniform(0.2, 0.8, (_PAIRS, 2)).astype(np.float32),
        'cell_mpp': np.full(_PAIRS, patches.cell_mpp, np.float32),
        'tissue_mpp': np.full(_PAIRS, patches.tissue_mpp, np.float32),
    }
