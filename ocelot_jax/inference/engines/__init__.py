"""Programs that compute a network's class probabilities.

| name            | computes with                                                                |
|-----------------|------------------------------------------------------------------------------|
| `xla`           | the compiled network, on all local devices; the default and the reference    |
| `onnxruntime`   | ONNX Runtime on the CPU, float32                                             |
| `openvino`      | OpenVINO on the CPU, float32                                                 |
| `openvino-bf16` | OpenVINO on the CPU, bfloat16 where the processor has it: faster, less exact |

All but the first need the `[export]` extra. Another engine is a module here and a line in
`_FACTORIES`.
"""

import importlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ocelot_jax.io.errors import InputError

if TYPE_CHECKING:  # loading them takes seconds, and flags are read before
    from ocelot_jax.inference.engine import Engine
    from ocelot_jax.models.factory import Model
    from ocelot_jax.runs.loading import LoadedRuns

# module here, its function from a model to a function from variables to an engine
_FACTORIES = {
    'xla': ('network', 'prepare'),
    'onnxruntime': ('onnxruntime', 'prepare'),
    'openvino': ('openvino', 'prepare'),
    'openvino-bf16': ('openvino', 'prepare_bf16'),
}
ENGINES = tuple(_FACTORIES)


def takes_any_size(name: str) -> bool:
    """Whether an engine takes batches of any size; XLA compiles a program for each."""
    return name != 'xla'


def of_runs(runs: 'LoadedRuns', name: str = 'xla') -> 'Engine':
    """Makes an engine of a run, or of several, as their configuration wants it; see `create`.

    What was trained in bfloat16 is computed in float32 on CPUs, which XLA does faster there.
    """
    import jax

    from ocelot_jax.models import factory

    model = factory.create_model(runs.config)
    if runs.config.model.dtype != 'float32' and jax.default_backend() == 'cpu':
        model = model.clone(dtype='float32')
    return create(name, model, runs.variables, runs.config.test_time_augmentation)


def create(
    name: str, model: 'Model', members: Sequence[Any], test_time_augmentation: bool = False
) -> 'Engine':
    """Makes an engine for one network, or for the mean of several.

    Args:
        name: one of `ENGINES`.
        model: from `models.factory.create_model`.
        members: the variables of each network.
        test_time_augmentation: whether to give the mean over the eight symmetries.

    Raises:
        InputError: there is no such engine.
        MissingPackageError: its program is not installed.
    """
    return prepare(name, model, test_time_augmentation)(members)


def prepare(
    name: str, model: 'Model', test_time_augmentation: bool = False
) -> Callable[[Sequence[Any]], 'Engine']:
    """Makes the function from members to an engine, for networks whose variables change.

    All its engines share one compilation. Arguments and errors are those of `create`.
    """
    if name not in _FACTORIES:
        raise InputError(f'--engine: {name!r}; want one of {", ".join(ENGINES)}')
    from ocelot_jax.inference import symmetries
    from ocelot_jax.inference.engine import mean

    module, function = _FACTORIES[name]
    bind = getattr(importlib.import_module(f'{__name__}.{module}'), function)(model)

    def create_engine(members: Sequence[Any]) -> 'Engine':
        networks = [bind(variables) for variables in members]
        engine = networks[0]
        if len(networks) > 1:
            engine = lambda batch: mean([network(batch) for network in networks])
        return symmetries.average(engine) if test_time_augmentation else engine

    return create_engine
