"""The schedule at its corners, and Adam's steps of both branches against plain Adam."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ocelot_jax.training import optimizer


def test_schedule():
    schedule = optimizer.learning_rate(1e-3, num_steps=100, warmup_steps=20)
    rates = np.array([float(schedule(step)) for step in range(101)])
    np.testing.assert_allclose(rates[:21], np.linspace(0, 1e-3, 21), rtol=1e-5)
    cosine = 0.5e-3 * (1 + np.cos(np.pi * np.arange(81) / 80))
    np.testing.assert_allclose(rates[20:], cosine, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize(
    ('num_steps', 'warmup_steps', 'peak_at'),
    [(100, 20, 20), (10, 20, 5), (7, 7, 3), (1, 20, 0), (50, 0, 0)],
)
def test_warm_up_takes_half_of_the_steps_at_most(num_steps, warmup_steps, peak_at):
    schedule = optimizer.learning_rate(0.5, num_steps, warmup_steps)
    rates = [float(schedule(step)) for step in range(num_steps + 1)]
    assert np.argmax(rates) == peak_at
    np.testing.assert_allclose(rates[peak_at], 0.5, rtol=1e-6)
    np.testing.assert_allclose(rates[-1], 0, atol=1e-7)


def branch(seed):
    rng = np.random.default_rng(seed)
    return {
        'kernel': jnp.asarray(rng.standard_normal((3, 2)), jnp.float32),
        'inner': {'bias': jnp.asarray(rng.standard_normal(2), jnp.float32)},
    }


def updates_of(tx, params, grads):
    """The updates of each step."""
    state = tx.init(params)
    update = jax.jit(tx.update)
    history = []
    for grad in grads:
        updates, state = update(grad, state, params)
        history.append(updates)
    return history


def assert_trees_close(got, wanted):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-9), got, wanted)


GRADS = [branch(seed) for seed in range(1, 5)]
SCHEDULE = optimizer.learning_rate(0.01, num_steps=4, warmup_steps=2)


@pytest.mark.parametrize('multiplier', [1.0, 0.5, 0.25])
def test_cell_branch_moves_by_the_multiple(multiplier):
    tx = optimizer.by_branch(optax.adam, SCHEDULE, multiplier)
    params = {'cell': branch(0), 'tissue': branch(0)}
    plain = updates_of(optax.adam(SCHEDULE), branch(0), GRADS)
    both = updates_of(tx, params, [{'cell': grad, 'tissue': grad} for grad in GRADS])
    assert abs(plain[2]['kernel']).min() > 1e-4
    for got, wanted in zip(both, plain, strict=True):
        assert_trees_close(got['tissue'], wanted)
        assert_trees_close(got['cell'], jax.tree.map(lambda x: multiplier * x, wanted))


def test_branches_do_not_mix():
    """A branch's steps depend on its own gradients."""
    tx = optimizer.by_branch(optax.adam, SCHEDULE, 1.0)
    params = {'cell': branch(0), 'tissue': branch(0)}
    got = updates_of(
        tx, params, [{'cell': g, 'tissue': jax.tree.map(jnp.zeros_like, g)} for g in GRADS]
    )
    for updates, wanted in zip(
        got, updates_of(optax.adam(SCHEDULE), branch(0), GRADS), strict=True
    ):
        assert_trees_close(updates['cell'], wanted)
        assert_trees_close(updates['tissue'], jax.tree.map(jnp.zeros_like, wanted))


def test_cell_branch_alone():
    got = updates_of(
        optimizer.by_branch(optax.adam, SCHEDULE, 0.5),
        {'cell': branch(0)},
        [{'cell': g} for g in GRADS],
    )
    for updates, wanted in zip(
        got, updates_of(optax.adam(SCHEDULE), branch(0), GRADS), strict=True
    ):
        assert_trees_close(updates['cell'], jax.tree.map(lambda x: 0.5 * x, wanted))
