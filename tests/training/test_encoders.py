"""Encoders that are frozen or learn at a rate of their own."""

import re

import jax
import jax.numpy as jnp
import narrow
import numpy as np
import pytest
import random_networks
from ocelot_jax.configs import cell_only

from benchmarks import random_weights
from ocelot_jax.models import DeepLabV3Plus, factory
from ocelot_jax.training import state as train_state
from ocelot_jax.training.optimizer import create_optimizer
from ocelot_jax.training.step import create_train_step

VIT = {'img_size': 32, 'embed_dim': 16, 'depth': 1, 'num_heads': 2}


def create_config(multiplier):
    config = cell_only.get_config()
    config.model.update({'encoder_name': 'vit', 'pretrained_branches': ('cell',)})
    config.model.vit.update(VIT)
    config.optimizer.encoder_lr_multiplier = multiplier
    config.optimizer.warmup_epochs = 0.0
    for name in config.augment:
        if name.endswith('probability'):
            config.augment[name] = 0.0
    return config


def test_a_step_leaves_a_frozen_encoder_as_it_was():
    config = create_config(0.0)
    model = factory.create_model(config, train_state.AXIS)
    tx = create_optimizer(config, 10)
    before = random_weights.draw(factory.abstract_variables(model))
    state = train_state.create(before, tx=tx, averaged=False)
    pairs = random_networks.random_batch(2) | {
        'cell_points': np.full((2, 4, 2), 20, np.float32),
        'cell_labels': np.ones((2, 4), np.int32),
        'index': np.arange(2, dtype=np.int32),
    }
    batch = jax.tree.map(lambda x: x[None], pairs)
    step = create_train_step(config, model, tx, finest_mpp=0.2, epoch_steps=10)
    after, losses = step(train_state.replicate(state, 1), batch)
    assert all(np.isfinite(loss) for loss in losses.values())
    moved = jax.tree.map(
        lambda a, b: float(abs(a - b).max()),
        before['params'],
        train_state.unreplicate(after.variables['params']),
    )
    assert max(jax.tree.leaves(moved['cell'].pop('encoder'))) == 0
    # Adam's first step moves every parameter that has a gradient by the learning rate
    assert min(jax.tree.leaves(moved)) > 1e-5


def test_the_optimizer_keeps_nothing_for_a_frozen_encoder():
    def size(multiplier):
        config = create_config(multiplier)
        params = factory.abstract_variables(factory.create_model(config))['params']
        state = jax.eval_shape(create_optimizer(config, 10).init, params)
        encoder = params['cell']['encoder']
        return [sum(x.size for x in jax.tree.leaves(tree)) for tree in (state, encoder)]

    (whole, encoder), (held, _) = size(1.0), size(0.0)
    # two moments of each parameter, and one count of steps less or more
    assert abs(whole - held - 2 * encoder) <= 2


@pytest.mark.parametrize(('encoder', 'sizes'), [('vit', VIT), (narrow.ENCODER, {})])
def test_no_gradient_of_a_frozen_encoder_is_computed(encoder, sizes):
    image = jnp.zeros((1, 32, 32, 3))
    encode = lambda branch, image: branch.encode(image, train=True)[-1]

    def differentiate(frozen):
        """The program's products and convolutions; whether it changes the encoder's statistics."""
        branch = DeepLabV3Plus(2, encoder, encoder_sizes=sizes, frozen=frozen)
        variables = jax.eval_shape(lambda: branch.init(jax.random.key(0), image, method=encode))
        variables = {'batch_stats': {}, **random_weights.draw(variables)}

        def loss(params):
            maps, updates = branch.apply(
                variables | {'params': params}, image, method=encode, mutable=['batch_stats']
            )
            return (maps**2).mean(), updates['batch_stats']

        program, shapes = jax.make_jaxpr(jax.grad(loss, has_aux=True), return_shape=True)(
            variables['params']
        )
        statistics = len(jax.tree.leaves(shapes[1].get('encoder')))
        after = program.jaxpr.outvars[len(program.jaxpr.outvars) - statistics :]
        changes = not {*after} <= {*program.jaxpr.constvars}
        return len(re.findall('dot_general|conv_general', str(program))), changes

    (products, learns), (fewer, changes) = differentiate(False), differentiate(True)
    assert fewer <= products / 2
    assert (learns, changes) == (encoder == narrow.ENCODER, False)


@pytest.mark.parametrize('factor', [0.25, 0.0])
def test_encoders_move_by_the_multiple(factor):
    config = create_config(factor)
    config.optimizer.cell_lr_multiplier = 0.5
    config.model.pretrained_branches = ('cell', 'tissue')
    tx = create_optimizer(config, 10)
    branch = {'encoder': {'a': jnp.ones(3)}, 'head': jnp.ones(2)}
    params = {'cell': branch, 'tissue': branch, 'sharing_aspp': jnp.ones(1)}
    updates, _ = jax.jit(tx.update)(params, tx.init(params), params)
    rate = config.optimizer.learning_rate
    wanted = {
        'cell': {'encoder': {'a': 0.5 * factor}, 'head': 0.5},
        'tissue': {'encoder': {'a': factor}, 'head': 1},
        'sharing_aspp': 1,
    }
    jax.tree.map(
        lambda x, multiple: np.testing.assert_allclose(x, -rate * multiple, rtol=1e-4),
        updates,
        wanted,
    )
