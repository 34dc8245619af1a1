"""Both branches learn one encoder."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import stub_steps
from ocelot_jax.configs import default

from ocelot_jax.interop import pretrained
from ocelot_jax.io.errors import InputError
from ocelot_jax.models import factory
from ocelot_jax.training import state as train_state
from ocelot_jax.training import tying, weights
from ocelot_jax.training.optimizer import encoder_multipliers
from ocelot_jax.training.step import create_device_step


class Linear:
    """Two branches, each an encoder and a head, which are matrices; or with one encoder."""

    def apply(self, variables, inputs, **options):
        params = variables['params']
        outputs = {
            f'{name}_logits': inputs[f'{name}_image']
            @ params.get('shared', params[name])['encoder']
            @ params[name]['head']
            for name in ('cell', 'tissue')
        }
        return outputs, {'batch_stats': {}}


def take_steps(params, tied, encoder_rate):
    """Plain gradient descent; heads at a rate of 0.5."""
    config = default.get_config()
    config.model.tied_encoders = tied
    for name in config.augment:
        config.augment[name] = 0.0
    label = lambda path, leaf: path[-1].key
    tx = optax.partition(
        {'encoder': optax.sgd(encoder_rate), 'head': optax.sgd(0.5)},
        lambda tree: jax.tree.map_with_path(label, tree),
    )
    step = create_device_step(config, Linear(), tx, stub_steps.FINEST_MPP, 4)
    state = train_state.create({'params': params, 'batch_stats': {}}, tx=tx, averaged=False)
    mapped = jax.jit(jax.vmap(step, (None, None, 0), axis_name=train_state.AXIS))
    for number in range(3):
        batch = jax.tree.map(lambda x: x[None], stub_steps.draw_batch(number))
        state = jax.tree.map(lambda x: x[0], mapped(0, state, batch)[0])
    return state.variables['params']


def draw_params():
    draw = lambda *shape: jnp.array(rng.standard_normal(shape), jnp.float32)
    rng = np.random.default_rng(0)
    return {
        name: {'encoder': draw(3, 4), 'head': draw(4, classes)}
        for name, classes in (('cell', 3), ('tissue', 2))
    }


def test_two_tied_encoders_are_one():
    """One encoder of a network gets the sum of both gradients: so at half the rate."""
    first = tying.start_alike(draw_params(), (1.0, 1.0))
    tied = take_steps(first, True, encoder_rate=0.5)
    np.testing.assert_array_equal(tied['cell']['encoder'], tied['tissue']['encoder'])
    assert np.abs(tied['cell']['encoder'] - first['cell']['encoder']).max() > 1e-2
    heads = {name: {'head': first[name]['head']} for name in ('cell', 'tissue')}
    whole = {'shared': {'encoder': first['cell']['encoder']}} | heads
    one = take_steps(whole, False, encoder_rate=0.25)
    np.testing.assert_allclose(tied['cell']['encoder'], one['shared']['encoder'], rtol=1e-4)
    np.testing.assert_allclose(tied['tissue']['head'], one['tissue']['head'], rtol=1e-4)
    apart = take_steps(first, False, encoder_rate=0.5)
    assert np.abs(apart['cell']['encoder'] - apart['tissue']['encoder']).max() > 1e-2


@pytest.mark.parametrize(
    ('params', 'multipliers', 'words'),
    [
        ({'cell': {'encoder': jnp.zeros(2)}}, (1, 1), 'two branches'),
        ({'cell': {'encoder': jnp.zeros(2)}, 'tissue': {'encoder': jnp.ones(3)}}, (1, 1), 'alike'),
        ({n: {'encoder': jnp.zeros(2)} for n in ('cell', 'tissue')}, (0.5, 1), '0.5 .cell. and 1'),
    ],
)
def test_encoders_that_cannot_be_tied(params, multipliers, words):
    with pytest.raises(InputError, match=words):
        tying.start_alike(params, multipliers)


@pytest.fixture
def drawn(monkeypatch):
    """What the network begins with: numbers of its own in every leaf, whatever the seed."""
    params = {
        branch: {part: np.full(3, number + 10 * i) for i, part in enumerate(('encoder', 'head'))}
        for number, branch in enumerate(('cell', 'tissue'))
    }
    made = {'params': params, 'batch_stats': {}}
    monkeypatch.setattr(factory, 'init_variables', lambda model, seed, example: made)
    return made


def first_variables(**model):
    config = default.get_config()
    config.model.update(model)
    return weights.first_variables(config, None, {})


def test_tied_encoders_begin_as_one(drawn):
    variables = first_variables(tied_encoders=True)
    cell, tissue = (variables['params'][branch] for branch in ('cell', 'tissue'))
    np.testing.assert_array_equal(cell['encoder'], tissue['encoder'])
    assert (cell['head'] != tissue['head']).all()
    apart = first_variables()['params']
    assert (apart['cell']['encoder'] != apart['tissue']['encoder']).all()


def test_pretrained_weights_come_before_the_encoders_are_tied(drawn, monkeypatch):
    asked = []

    def initialise(variables, *values):
        asked.append(values)
        return jax.tree.map(lambda x: x + 100, variables)

    monkeypatch.setattr(pretrained, 'initialise', initialise)
    mean, std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    variables = first_variables(
        tied_encoders=True, pretrained='FILE', pretrained_mean=mean, pretrained_std=std
    )
    [(file, branches, *looks)] = asked
    assert (str(file), tuple(branches)) == ('FILE', ('cell', 'tissue'))
    assert [tuple(values) for values in looks] == [mean, std]
    params = variables['params']
    for branch in ('cell', 'tissue'):
        np.testing.assert_array_equal(params[branch]['encoder'], np.full(3, 100))
    np.testing.assert_array_equal(params['tissue']['head'], np.full(3, 111))


def test_one_encoder_is_not_pretrained_for_one_branch(drawn, monkeypatch):
    monkeypatch.setattr(pretrained, 'initialise', lambda variables, *_: variables)
    with pytest.raises(InputError, match=r"pretrained_branches is .'tissue',.; want both or none"):
        first_variables(tied_encoders=True, pretrained='FILE', pretrained_branches=('tissue',))


@pytest.mark.parametrize(
    ('branches', 'wanted'), [(('cell', 'tissue'), (0.05, 0.1)), (('tissue',), (0.5, 0.1))]
)
def test_the_rates_of_both_encoders(branches, wanted):
    config = default.get_config()
    config.optimizer.cell_lr_multiplier, config.optimizer.encoder_lr_multiplier = 0.5, 0.1
    config.model.pretrained_branches = branches
    assert encoder_multipliers(config) == pytest.approx(wanted)
