"""Every configuration's training step can be built; one of each kind is taken, on two devices."""

import functools
import importlib
import json
import os
import subprocess
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import narrow
import pytest
import quick_xla
import random_networks
from conftest import ROOT, make_release

from ocelot_jax.models import factory
from ocelot_jax.training import state as train_state
from ocelot_jax.training.optimizer import create_optimizer
from ocelot_jax.training.step import create_train_step

NAMES = sorted(path.stem for path in (ROOT / 'configs').glob('[!_]*.py'))
# the tissue branch learns through what it tells the cell branch, alone or not
COMPILED = ('ablation_pred_inter2_fov', 'ablation_feature_sharing_fov')
# those whose network is another's, as is tested apart
OTHERS = {
    **dict.fromkeys(('default', 'carp', 'consep', 'crc', 'demo', 'tiger'), 'pred_inter2'),
    'pred_inter2_best': 'pred_inter2',
    **{
        f'ablation_{name}_{kind}': name
        for name in ('pred_inter2', 'feature_sharing')
        for kind in ('fov', 'label')
    },
}
TABLE_5 = (
    *('cell_only', 'pred_input', 'pred_inter1', 'pred_inter2', 'pred_output'),
    *('feature_sharing', 'leaking'),
)
# what the paper says of the other two data sets (Sec. 6.1, 6.2), and how many cells fit in TIGER's
OTHER_DATA = {
    'tiger': {
        'num_epochs': 150,
        'data.source': 'tiger',
        'data.cell_classes': ('LC',),
        'data.tissue_classes': ('BG', 'ST'),
        'data.max_cells': 256,
        'detection.max_cells': 256,
    },
    'carp': {'num_epochs': 100, 'data.source': 'carp', 'data.cell_classes': ('TC-', 'TC+')},
}


@pytest.fixture(scope='module')
def outcomes(tmp_path_factory):
    """Configuration -> what `steps.py` says of it."""
    folder = make_release(tmp_path_factory.mktemp('pairs'), {'train': 2}, size=32)
    paths = (str(ROOT), str(ROOT / 'tests'), os.environ.get('PYTHONPATH', ''))
    environment = os.environ | {
        'JAX_PLATFORMS': 'cpu',
        'PYTHONPATH': os.pathsep.join(paths).rstrip(os.pathsep),
        'XLA_FLAGS': f'--xla_force_host_platform_device_count=2 {quick_xla.XLA_FLAGS}',
    }
    done = subprocess.run(
        [sys.executable, str(ROOT / 'tests' / 'steps.py'), str(folder), *COMPILED],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return functools.reduce(dict.__or__, map(json.loads, done.stdout.splitlines()))


def test_two_devices_see_the_losses_of_one(outcomes):
    outcome = outcomes[COMPILED[0]]
    assert outcome['losses'] == pytest.approx(outcome['alone'], rel=1e-4)


@pytest.mark.parametrize('name', COMPILED)
def test_every_branch_learns(outcomes, name):
    """The tissue branch, too, where the tissue has no labels (Table 7)."""
    outcome = outcomes[name]
    assert 0 < outcome['losses']['cell_loss'] < 1
    assert outcome['losses']['loss'] == outcome['losses']['cell_loss']
    # Adam's first step moves every parameter that has a gradient by the learning rate
    assert min(outcome['moved'].values()) > 1e-5


def traced(name):
    """Configuration, abstract state before and after a step, losses, axis of each batch norm."""
    config = narrow.get_config(name)
    model = factory.create_model(config, train_state.AXIS)
    tx = create_optimizer(config, 10)
    create = functools.partial(train_state.create, tx=tx, averaged=False)
    state = jax.eval_shape(create, factory.abstract_variables(model))
    state = jax.tree.map(lambda x: jax.ShapeDtypeStruct((1, *x.shape), x.dtype), state)
    pairs = random_networks.random_batch(1) | {
        'cell_points': jnp.zeros((1, 16, 2)),
        'cell_labels': jnp.zeros((1, 16), jnp.int32),
        'index': jnp.zeros(1, jnp.int32),
    }
    batch = jax.tree.map(lambda x: jax.ShapeDtypeStruct((1, *x.shape), x.dtype), pairs)
    norms = {}

    def watch(call, arguments, options, context):
        if isinstance(context.module, nn.BatchNorm):
            norms[context.module.path] = context.module.axis_name
        return call(*arguments, **options)

    with nn.intercept_methods(watch):
        after, losses = jax.eval_shape(
            create_train_step(config, model, tx, finest_mpp=0.2, epoch_steps=10), state, batch
        )
    return config, state, after, losses, norms


@pytest.mark.parametrize('name', sorted({*NAMES} - {*OTHERS}))
def test_a_step_can_be_built(name):
    config, before, after, losses, norms = traced(name)
    shapes = lambda tree: jax.tree.map(lambda x: (x.shape, x.dtype), tree)
    assert shapes(after) == shapes(before)
    tissue = {'tissue_loss'} if config.model.context in ('prediction', 'features') else set()
    assert set(losses) == {'loss', 'cell_loss'} | tissue
    assert all(loss.shape == () and loss.dtype == jnp.float32 for loss in losses.values())
    # what is normalised is normalised over all devices
    statistics, _ = jax.tree.flatten_with_path(before.variables['batch_stats'])
    assert set(norms) == {tuple(part.key for part in path[:-1]) for path, _ in statistics}
    assert set(norms.values()) == {train_state.AXIS}


@pytest.mark.parametrize('name', [name for name in OTHERS if name.startswith('ablation')])
def test_table_7_changes_no_network(name):
    configs = (importlib.import_module(f'configs.{each}') for each in (name, OTHERS[name]))
    limited, whole = (config.get_config() for config in configs)
    assert limited.model == whole.model
    assert (limited.data.large_fov, limited.tissue_loss_weight) == (
        (True, 0.0) if name.endswith('fov') else (False, 1.0)
    )


@pytest.mark.parametrize('row', TABLE_5)
@pytest.mark.parametrize('data', OTHER_DATA)
def test_rows_of_table_5_differ_from_ocelot_s_by_the_data_alone(data, row):
    wanted = importlib.import_module(f'configs.{row}').get_config()
    wanted.update_from_flattened_dict(OTHER_DATA[data])
    assert importlib.import_module(f'configs.{data}').get_config(row) == wanted


def test_the_default_is_pred_to_inter_2():
    names = ('default', 'pred_inter2')
    default, wanted = (importlib.import_module(f'configs.{name}').get_config() for name in names)
    assert default == wanted


@pytest.mark.parametrize('row', [*TABLE_5, 'unet', 'mfovce', 'ablation_pred_inter2_label'])
@pytest.mark.parametrize('data', ['crc', 'consep', 'demo'])
def test_small_patches_change_no_network(data, row):
    wanted = importlib.import_module(f'configs.{row}').get_config()
    config = importlib.import_module(f'configs.{data}').get_config(row)
    if data == 'consep':
        wanted.model.encoder_name = 'resnet18'
    wanted.model.cell_dropout = wanted.model.tissue_dropout = 0.0
    assert config.model == wanted.model
    assert config.data.large_fov == wanted.data.large_fov
    assert config.tissue_loss_weight == wanted.tissue_loss_weight
