"""Takes training steps mapped by `pmap`, and by `shard_map` beside them, and compares.

Run by `test_step.py` in a process that sees several devices. Prints a JSON line for each number
of them.
"""

import functools
import json

import jax
import numpy as np
import stub_steps
import tiny
from jax.sharding import Mesh, PartitionSpec

from benchmarks import random_weights
from ocelot_jax.data.batches import shard
from ocelot_jax.models import factory
from ocelot_jax.training import state as train_state
from ocelot_jax.training.optimizer import create_optimizer
from ocelot_jax.training.state import AXIS
from ocelot_jax.training.step import create_device_step, create_train_step

DEVICES = (1, 2, 4)
STEPS = 3
# flips and turns alone: what else there is takes long to compile
FEW_AUGMENTATIONS = {f'augment__{name}_probability': 0.0 for name in ('blur', 'color', 'noise')}


def map_by_shards(step, devices):
    """What takes `pmap`'s place in `create_train_step` the day it goes."""

    def one(seed, state, batch):
        state, batch = jax.tree.map(lambda x: x[0], (state, batch))
        state, losses = step(seed, state, batch)
        return jax.tree.map(lambda x: x[None], state), losses

    everywhere, split = PartitionSpec(), PartitionSpec(AXIS)
    mesh = Mesh(np.array(jax.devices()[:devices]), (AXIS,))
    specs = {'in_specs': (everywhere, split, split), 'out_specs': (split, everywhere)}
    return jax.jit(jax.shard_map(one, mesh=mesh, check_vma=False, **specs), donate_argnums=1)


def take_steps(step, state, devices):
    """The state and the losses after each step, and the programs compiled after the first."""
    outcomes, compiled = [], []
    count = lambda event, seconds, **about: compiled.append(event)
    # nothing goes from one device to another but within the step
    with jax.transfer_guard_device_to_device('disallow'):
        for number in range(STEPS):
            state, losses = step(state, shard(stub_steps.draw_batch(number), devices))
            outcomes.append(jax.tree.map(np.array, {'state': state, 'losses': losses}))
            if number == 0:
                jax.monitoring.register_event_duration_secs_listener(count)
    jax.monitoring.unregister_event_duration_listener(count)
    return outcomes, [event for event in compiled if 'compile' in event]


def compare(devices):
    """The paths that differ, what was compiled after the first step, and the losses."""
    config = tiny.create_config(seed=5, optimizer__warmup_epochs=0.0, **FEW_AUGMENTATIONS)
    model = tiny.create_model(config, AXIS)
    tx = create_optimizer(config, STEPS)
    variables = random_weights.draw(factory.abstract_variables(model))
    first = train_state.create(variables, tx=tx, averaged=True)
    arguments = config, model, tx, stub_steps.FINEST_MPP, STEPS
    twin = map_by_shards(create_device_step(*arguments), devices)
    outcomes, late = {}, {}
    for name, step in (
        ('pmap', create_train_step(*arguments)),
        ('twin', functools.partial(twin, np.asarray(config.seed))),
    ):
        state = train_state.replicate(first, devices)
        outcomes[name], late[name] = take_steps(step, state, devices)
    paths, leaves = zip(*jax.tree_util.tree_leaves_with_path(outcomes['pmap']), strict=True)
    pairs = zip(paths, leaves, jax.tree.leaves(outcomes['twin']), strict=True)
    return {
        'arrays': len(paths),
        'differ': [jax.tree_util.keystr(p) for p, a, b in pairs if a.tobytes() != b.tobytes()],
        'late': late,
        'losses': [float(outcome['losses']['loss']) for outcome in outcomes['pmap']],
    }


if __name__ == '__main__':
    for number in DEVICES:
        print(json.dumps({number: compare(number)}), flush=True)
