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
from ocelot_jax.models import factory, layers

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

    def on_all(function: Callable[..., Any], out_specs: PartitionSpec) -> Callable[..., Any]:
        mapped = jax.shard_map(
            functools.partial(function, model),
            mesh=mesh,
            in_specs=(_EVERYWHERE, _BY_ROWS),
            out_specs=out_specs,
            check_vma=False,
        )
        return jax.jit(mapped)

    compute = on_all(probabilities, _BY_ROWS)
    transform = on_all(transformed_kernels, _EVERYWHERE)

    def bind(variables: Any) -> Engine:
        variables = jax.device_put(variables, NamedSharding(mesh, _EVERYWHERE))
        is_ready = local[0].platform != 'cpu'

        def engine(batch: Batch) -> Maps:
            nonlocal variables, is_ready
            rows = len(batch['tissue_image'])
            if rows % len(local):
                raise InputError(
                    f'config.data.batch_size: {rows} pairs at a time do not divide by the '
                    f'{len(local)} devices; want a multiple'
                )
            batch = {name: batch[name] for name in _FIELDS if name in batch}
            if not is_ready:  # the first batch tells how large the maps are
                variables = {**variables, **transform(variables, batch)}
                is_ready = True
            return compute(variables, batch)

        return engine

    return bind


def probabilities(model: factory.Model, variables: Any, batch: Batch) -> Maps:
    """Class probabilities of both patches; see `engine.Engine`.

    A model whose tissue branch knows of no cell patch computes a shared tissue patch once.
    """
    count = len(batch['tissue_image'])
    outputs: Any = model.apply(variables, _inputs(model, batch), train=False)
    cell, tissue = jax.tree.map(jax.nn.softmax, (outputs['cell_logits'], outputs['tissue_logits']))
    if tissue is not None and len(tissue) > count:
        tissue = tissue.reshape(count, -1, *tissue.shape[1:]).mean(1)
    return Maps(cell, tissue)


def transformed_kernels(model: factory.Model, variables: Any, batch: Batch) -> dict[str, Any]:
    """The collection `layers.TRANSFORMED`, for batches like this one; empty where none pays.

    What else the network computes is not needed for it, and left out by XLA.
    """
    inputs = _inputs(model, batch)
    _, made = model.apply(variables, inputs, train=False, mutable=[layers.TRANSFORMED])
    return dict(made)


def _inputs(model: factory.Model, batch: Batch) -> dict[str, Any]:
    """What the network takes, with a tissue patch for each cell patch unless it can share them."""
    factory.check_sizes(model, batch['cell_image'].shape[1:3], batch['tissue_image'].shape[1:3])
    inputs = augmentation.model_inputs(batch)
    if not factory.shares_tissue(model):
        shared = len(inputs['cell_image']) // len(inputs['tissue_image'])
        inputs['tissue_image'] = jnp.repeat(inputs['tissue_image'], shared, axis=0)
    return inputs
