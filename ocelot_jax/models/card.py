"""The model card of a configuration: modules, parameters, FLOPs."""

import functools
import math
import shutil
import sys
from typing import Any

import flax.linen as nn
import jax

from ocelot_jax.models import factory


def describe(config: Any) -> str:
    """A model card: the modules with their shapes, parameters and FLOPs, and the sums.

    Shapes and FLOPs are those of a prediction for one pair of the paper's geometry (Sec. 3.1),
    1024 x 1024 pixels at 0.2 and 0.8 um/px; FLOPs count multiplications and additions, as XLA
    does. The text is as wide as the terminal. `config` is as `configs/default.py`; its data are
    not read.

    Raises:
        InputError: see `factory.create_model`.
    """
    model = factory.create_model(config)
    batch = factory.blank_batch()
    plain = _plainly(model)
    width = max(shutil.get_terminal_size().columns, 140)
    console = {'force_terminal': sys.stdout.isatty(), 'width': width}
    table = nn.tabulate(
        plain, jax.random.key(0), depth=2, compute_flops=True, console_kwargs=console
    )(batch, train=False)
    table = table.replace(plain.dtype, model.dtype)
    counts = parameters(model)
    sums = [f'{name:12} {count / 1e6:7.2f} M parameters' for name, count in counts.items()]
    gflops = f'{"":12} {flops(model) / 1e9:7.1f} GFLOPs for one pair of 1024 x 1024 px'
    return '\n'.join([table.rstrip(), *sums, gflops])


def parameters(model: factory.Model) -> dict[str, int]:
    """Number of parameters of each branch, of each shared seam, and in all."""
    params = factory.abstract_variables(model)['params']
    counts = {name: sum(x.size for x in jax.tree.leaves(own)) for name, own in params.items()}
    return {**counts, 'all': sum(counts.values())}


def _plainly(model: factory.Model) -> factory.Model:
    """The same network with direct convolutions, so that FLOPs are those of the textbook.

    In float32 CPUs save multiplications (`ops.winograd`); in bfloat16 no backend does.
    """
    return model.clone(dtype='bfloat16')


def flops(model: factory.Model) -> float:
    """Multiplications and additions of the prediction for one pair of the paper's geometry."""
    apply = jax.jit(functools.partial(_plainly(model).apply, train=False))
    lowered = apply.lower(factory.abstract_variables(model), factory.blank_batch())
    costs = lowered.cost_analysis() or {}  # not every backend tells
    return costs.get('flops', math.nan)
