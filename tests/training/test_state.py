"""What of a training's state is validated and saved."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ocelot_jax.evaluation import scoring
from ocelot_jax.runs import checkpoints
from ocelot_jax.training import loop
from ocelot_jax.training import state as train_state


def make_state(averaged):
    """Weights of 1 and, where wanted, a running average of 2, on one device."""
    tree = lambda value: {'params': {'w': jnp.full(3, value)}, 'batch_stats': {}}
    state = train_state.TrainState(jnp.int32(4), tree(1.0), (), tree(2.0) if averaged else None)
    return train_state.replicate(state, 1)


@pytest.mark.parametrize(('averaged', 'wanted'), [(True, 2.0), (False, 1.0)])
def test_the_running_average_is_validated_where_there_is_one(averaged, wanted, monkeypatch):
    monkeypatch.setattr(scoring, 'score_pairs', lambda engine, pairs, config: engine)
    stop = types.SimpleNamespace(watch=lambda engine: engine)
    [member] = loop.validate(lambda members: members, make_state(averaged), [], None, stop)
    np.testing.assert_array_equal(member['params']['w'], np.full(3, wanted))


@pytest.mark.parametrize(('averaged', 'wanted'), [(True, 2.0), (False, 1.0)])
def test_what_was_validated_is_what_a_run_is_applied_with(averaged, wanted, tmp_path):
    stream = types.SimpleNamespace(get_state=lambda: {'read': 7}, set_state=lambda state: None)
    state = make_state(averaged)
    with checkpoints.open_manager(tmp_path) as manager:
        loop.save(manager, 4, state, stream, [], {'mF1': 0.5})
        manager.wait_until_finished()
        like = train_state.unreplicate(state)
        variables = checkpoints.restore(manager, 4, 'variables', like.variables)
        np.testing.assert_array_equal(variables['params']['w'], np.full(3, wanted))
        # and training goes on with both
        _, restored = loop.restore(manager, 4, like, stream)
    for found, saved in zip(*map(jax.tree.leaves, (restored, like)), strict=True):
        np.testing.assert_array_equal(found, saved)
