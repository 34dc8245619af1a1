"""The network itself, compiled by XLA for all local devices."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from ocelot_jax.data import augmentation
from ocelot_jax.inference import devices
from ocelot_jax.inference.engine import Batch, Engine, Maps
from ocelot_jax.io.errors import InputError
from ocelot_jax.models import factory

_EVERYWHERE, _BY_ROWS = PartitionSpec(), PartitionSpec('batch')
_FIELDS = ('cell_image', 'tissue_image', 'tissue_mask', 'center', 'cell_mpp', 'tissue_mpp')


def prepare(model: factory.Model) -> Callable[[Any], Engine]:
    """Makes the function that binds variables to the network; all share one compilation.

    Raises:
        InputError: the devices are not alike.
    """
    local = jax.local_devices()
    devices.check_alike(local)
    mesh = jax.make_mesh((len(local),), ('batch',), (AxisType.Auto,), devices=local)
    compute = jax.jit(
        jax.shard_map(
            functools.partial(probabilities, model),
            mesh=mesh,
            in_specs=(_EVERYWHERE, _BY_ROWS),
            out_specs=_BY_ROWS,
            check_vma=False,
        )
    )

    def bind(variables: Any) -> Engine:
        variables = jax.device_put(variables, NamedSharding(mesh, _EVERYWHERE))

        def engine(batch: Batch) -> Maps:
            rows = len(batch['tissue_image'])
            if rows % len(local):
                raise InputError(
                    f'config.data.batch_size: {rows} pairs at a time do not divide by the '
                    f'{len(local)} devices; want a multiple'
                )
            return compute(variables, {name: batch[name] for name in _FIELDS if name in batch})

        return engine

    return bind


def probabilities(model: factory.Model, variables: Any, batch: Batch) -> Maps:
    """Class probabilities of both patches; see `engine.Engine`.

    A model whose tissue branch knows of no cell patch computes a shared tissue patch once.
    """
    inputs = augmentation.model_inputs(batch)
    count = len(inputs['tissue_image'])
    if not factory.shares_tissue(model):
        shared = len(inputs['cell_image']) // count
        inputs['tissue_image'] = jnp.repeat(inputs['tissue_image'], shared, axis=0)
    outputs: Any = model.apply(variables, inputs, train=False)
    cell, tissue = jax.tree.map(jax.nn.softmax, (outputs['cell_logits'], outputs['tissue_logits']))
    if tissue is not None and len(tissue) > count:
        tissue = tissue.reshape(count, -1, *tissue.shape[1:]).mean(1)
    return Maps(cell, tissue)
