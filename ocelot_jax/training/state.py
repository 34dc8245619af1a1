"""What a training step changes, on one device or on all, of one run or of several."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

AXIS = 'batch'
"""The mapped axis: gradients, batch statistics and losses are taken over all its devices."""


@flax.struct.dataclass
class TrainState:
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
        """Name of the variables that are evaluated, and so kept apart from the others."""
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
    # donated step by step, so the average is a copy of its own
    average = jax.tree.map(jnp.copy, variables) if averaged else None
    return TrainState(step, variables, tx.init(variables['params']), average)


def replicate(state: TrainState) -> TrainState:
    """Copies a state to every local device, with a leading device axis.

    As an output of a mapped function, or the step would be compiled again for its own.
    """
    devices = jnp.arange(jax.local_device_count())
    return jax.pmap(lambda device, state: state, AXIS, in_axes=(0, None))(devices, state)


def join(states: Sequence[TrainState]) -> TrainState:
    """Makes one state of those of N runs, with a leading axis; a single one stays as it is."""
    if len(states) == 1:
        return states[0]
    return _stack(*states)


@jax.jit
def _stack(*states: TrainState) -> TrainState:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)


def split(state: TrainState, count: int) -> Iterator[TrainState]:
    """Undoes `join` of `count` states: each in turn, [D,...], of a replicated one [D,N,...]."""
    if count == 1:
        yield state
        return
    for i in range(count):
        yield _take(i, state)


@functools.partial(jax.pmap, in_axes=(None, 0))
def _take(i: jax.Array, state: TrainState) -> TrainState:
    return jax.tree.map(lambda x: x[i], state)
