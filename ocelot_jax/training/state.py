"""What a training step changes."""

import functools
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = 'batch'
"""The mapped axis: gradients, batch statistics and losses are taken over all its devices."""


class TrainState(flax.struct.PyTreeNode):
    """Everything that a step changes.

    Attributes:
        step: number of steps done.
        variables: the model's parameters and batch statistics.
        opt_state: the optimizer's.
        average: running average of `variables`; None where the configuration wants none.
    """

    step: jax.Array
    variables: dict[str, Any]
    opt_state: optax.OptState
    average: dict[str, Any] | None

    @property
    def evaluated_field(self) -> str:
        """Name of the field with the variables that are evaluated."""
        return 'variables' if self.average is None else 'average'

    @property
    def evaluated(self) -> dict[str, Any]:
        """The variables that are evaluated."""
        return getattr(self, self.evaluated_field)


@functools.partial(jax.jit, static_argnames=('tx', 'averaged'))
def create(
    variables: dict[str, Any], *, tx: optax.GradientTransformation, averaged: bool
) -> TrainState:
    """The state before the first step, with a running average of the variables or without."""
    step = jnp.zeros((), jnp.int32)
    # a copy of its own, because a step donates both to the next
    average = jax.tree.map(jnp.copy, variables) if averaged else None
    return TrainState(step, variables, tx.init(variables['params']), average)


def replicate(state: TrainState, num_devices: int) -> TrainState:
    """Copies a state to the first local devices, with a leading device axis.

    It lies as the step leaves it: the step is compiled once, and moves nothing.
    """
    mesh = Mesh(np.array(jax.local_devices()[:num_devices]), (AXIS,))
    spread = lambda x: np.broadcast_to(x, (num_devices, *x.shape))
    return jax.device_put(jax.tree.map(spread, state), NamedSharding(mesh, PartitionSpec(AXIS)))


def shared(tree: Any) -> Any:
    """One copy of a replicated tree that all processes hold together, as checkpoints want it.

    Each array is replicated over the first devices of all processes, without the device axis.
    """
    firsts = [jax.local_devices(index)[0] for index in range(jax.process_count())]
    sharding = NamedSharding(Mesh(firsts, ('process',)), PartitionSpec())
    return jax.tree.map(
        lambda x: jax.make_array_from_single_device_arrays(x.shape, sharding, [x]),
        unreplicate(tree),
    )


def unreplicate(tree: Any) -> Any:
    """The copy of a replicated tree on this process's first device, without the device axis.

    Not `x[0]`, which asks for what may lie on another host.
    """
    return jax.tree.map(lambda x: x.addressable_data(0)[0], tree)
