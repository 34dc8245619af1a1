"""Training steps of a network of a few numbers against the same by hand.

What is computed here shares the random keys with the training step, and nothing else.
"""

import json
import os
import subprocess
import sys

import jax
import numpy as np
import optax
import pytest
import quick_xla
import stub_steps
from conftest import ROOT
from ocelot_jax.configs import default
from stub_steps import CELL_SIZE, DEVICES, KEPT, MOMENTUM, PAIRS, SETTINGS, STEPS

from ocelot_jax.training import state as train_state
from ocelot_jax.training.step import create_device_step, told_probability

MEAN, DEVIATION = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])
CASES = [(devices, step) for devices in DEVICES for step in range(STEPS)]


@pytest.fixture(scope='module')
def found(tmp_path_factory):
    """(devices, step) -> path -> array, of the real training step."""
    path = tmp_path_factory.mktemp('steps') / 'found.npz'
    run_on_four_devices('stub_steps.py', str(path))
    result = {case: {} for case in CASES}
    for name, array in np.load(path).items():
        devices, step, key = name.split('/', 2)
        result[int(devices), int(step)][key] = array
    return result


def run_on_four_devices(name, *arguments):
    """What a script of the tests prints; a warning ends it."""
    flags = f'--xla_force_host_platform_device_count=4 {quick_xla.XLA_FLAGS}'
    paths = os.pathsep.join((str(ROOT), str(ROOT / 'tests')))
    done = subprocess.run(
        [sys.executable, '-W', 'error', str(ROOT / 'tests' / name), *arguments],
        env=os.environ | {'JAX_PLATFORMS': 'cpu', 'XLA_FLAGS': flags, 'PYTHONPATH': paths},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope='module')
def wanted():
    """(devices, step) -> what the state holds and the losses."""
    return {
        (devices, step): outcome
        for devices in DEVICES
        for step, outcome in enumerate(train_by_hand(devices))
    }


def train_by_hand(devices):
    """Yields the variables, the moments, the average and the losses after each step."""
    variables = stub_steps.draw_variables()
    params = {
        (branch, name): value.astype(float)
        for branch, values in variables['params'].items()
        for name, value in values.items()
    }
    statistics = variables['batch_stats']['cell']['mean'].astype(float)
    first, second = ({name: 0 * value for name, value in params.items()} for _ in range(2))
    average, average_statistics = dict(params), statistics
    for step in range(STEPS):
        key = jax.random.fold_in(jax.random.key(SETTINGS['seed']), step)
        augment_key, dropout_key = jax.random.split(key)
        batch = augmented(augment_key, stub_steps.draw_batch(step))
        kept = np.concatenate(
            [
                jax.random.bernoulli(
                    jax.random.fold_in(dropout_key, device), KEPT, (PAIRS // devices, 1, 1, 3)
                )
                for device in range(devices)
            ]
        )
        mean = batch['cell_image'].mean((0, 1, 2))
        colors = np.where(kept, (batch['cell_image'] - mean) / KEPT, 0)
        losses, grads = dice_by_hand(params, colors, batch)

        rate = learning_rate(step)
        for name, grad in grads.items():
            first[name] = 0.9 * first[name] + 0.1 * grad
            second[name] = 0.999 * second[name] + 0.001 * grad**2
            unbiased = first[name] / (1 - 0.9 ** (step + 1))
            deviation = np.sqrt(second[name] / (1 - 0.999 ** (step + 1)))
            multiple = SETTINGS['optimizer.cell_lr_multiplier'] if 'cell' in name[0] else 1
            params[name] = params[name] - multiple * rate * unbiased / (deviation + 1e-8)
        statistics = MOMENTUM * statistics + (1 - MOMENTUM) * mean
        old = min(SETTINGS['optimizer.average_decay'], step / (step + 10))
        average = {name: old * average[name] + (1 - old) * params[name] for name in params}
        average_statistics = old * average_statistics + (1 - old) * statistics
        yield {
            'losses': losses,
            'params': dict(params),
            'statistics': statistics,
            'first': dict(first),
            'second': dict(second),
            'average': average,
            'average_statistics': average_statistics,
        }


def learning_rate(step):
    """Linear up to the peak, then half a cosine."""
    total = SETTINGS['num_epochs'] * stub_steps.EPOCH_STEPS
    warmup = SETTINGS['optimizer.warmup_epochs'] * stub_steps.EPOCH_STEPS
    if step < warmup:
        return SETTINGS['optimizer.learning_rate'] * step / warmup
    done = (step - warmup) / (total - warmup)
    return SETTINGS['optimizer.learning_rate'] * (1 + np.cos(np.pi * done)) / 2


def augmented(key, batch):
    """Turned, brightened and noisy images, standardised; the mask and the cells as a mask."""
    pairs = [
        augmented_pair(jax.random.fold_in(key, index), {k: v[row] for k, v in batch.items()})
        for row, index in enumerate(batch['index'])
    ]
    return {name: np.stack([pair[name] for pair in pairs]) for name in pairs[0]}


def augmented_pair(key, pair):
    turn_key, color_key, *scan_keys = jax.random.split(key, 4)
    flip_key, rotate_key, turns_key = jax.random.split(turn_key, 3)
    flip = jax.random.bernoulli(flip_key, SETTINGS['augment.flip_probability'])
    turns = 0
    if jax.random.bernoulli(rotate_key, SETTINGS['augment.rotate_probability']):
        turns = int(jax.random.randint(turns_key, (), 1, 4))
    turned = lambda image: np.rot90(image[:, ::-1] if flip else image, turns)

    draw_key, brightness_key, *_ = jax.random.split(color_key, 5)
    brightness = 0.0
    if jax.random.bernoulli(draw_key, SETTINGS['augment.color_probability']):
        most = SETTINGS['augment.brightness']
        brightness = float(jax.random.uniform(brightness_key, minval=-most, maxval=most))
    # disks are round, so those of the cells can be turned with the image
    result = {'tissue_mask': turned(pair['tissue_mask']), 'cells': turned(disks(pair))}
    for name, scan_key in zip(('cell_image', 'tissue_image'), scan_keys, strict=True):
        _, noise_key = jax.random.split(scan_key)
        draw_key, deviation_key, noise_key = jax.random.split(noise_key, 3)
        image = np.clip(turned(pair[name]) / 255 + brightness, 0, 1)
        if jax.random.bernoulli(draw_key, SETTINGS['augment.noise_probability']):
            most = SETTINGS['augment.noise_std']
            deviation = jax.random.uniform(deviation_key, minval=0, maxval=most)
            image = np.clip(image + deviation * jax.random.normal(noise_key, image.shape), 0, 1)
        result[name] = (np.asarray(image, float) - MEAN) / DEVIATION
    return result


def disks(pair):
    """The label of the nearest cell within the radius, 0 where there is none."""
    rows, columns = np.mgrid[:CELL_SIZE, :CELL_SIZE]
    x, y = pair['cell_points'].T[..., None, None]
    distances = np.hypot(columns - x, rows - y)
    distances[pair['cell_labels'] == 0] = np.inf
    near = distances.min(0) <= SETTINGS['target.disk_radius_um'] / pair['cell_mpp'] + 1e-4
    # of equally near ones the higher label
    ties = distances == distances.min(0)
    return near * (ties * pair['cell_labels'][:, None, None]).max(0)


def dice_by_hand(params, colors, batch):
    """The losses, and the gradient of their weighted sum."""
    cell_loss, d_cell = dice(
        colors @ params['cell', 'kernel'] + params['cell_head', 'bias'], batch['cells']
    )
    tissue_loss, d_tissue = dice(
        batch['tissue_image'] @ params['tissue', 'kernel'] + params['tissue', 'bias'],
        batch['tissue_mask'],
    )
    weight = SETTINGS['tissue_loss_weight']
    product = lambda inputs, d: np.einsum('bhwi,bhwo->io', inputs, d)
    losses = {
        'loss': cell_loss + weight * tissue_loss,
        'cell_loss': cell_loss,
        'tissue_loss': tissue_loss,
    }
    return losses, {
        ('cell', 'kernel'): product(colors, d_cell),
        ('cell_head', 'bias'): d_cell.sum((0, 1, 2)),
        ('tissue', 'kernel'): weight * product(batch['tissue_image'], d_tissue),
        ('tissue', 'bias'): weight * d_tissue.sum((0, 1, 2)),
    }


def dice(logits, labels):
    """One minus the mean over classes of 2 I / S over all known pixels, and its derivative."""
    classes = logits.shape[-1]
    known = (labels != 255)[..., None]
    probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    truth = labels[..., None] == np.arange(classes)
    intersection = (probs * truth).sum((0, 1, 2))
    total = (probs * known + truth).sum((0, 1, 2))
    d_probs = -2 / classes * known * (truth * total - intersection) / total**2
    d_logits = probs * (d_probs - (d_probs * probs).sum(-1, keepdims=True))
    return 1 - np.mean(2 * intersection / total), d_logits


def assert_on_all_devices(array, wanted, devices, name, rtol=1e-4, atol=1e-6):
    assert len(array) == devices
    for copy in array:
        np.testing.assert_allclose(copy, wanted, rtol=rtol, atol=atol, err_msg=name)


@pytest.mark.parametrize('case', CASES)
def test_losses(found, wanted, case):
    for name, value in wanted[case]['losses'].items():
        np.testing.assert_allclose(found[case][f"['losses']['{name}']"], value, rtol=1e-5)


@pytest.mark.parametrize(('devices', 'step'), CASES)
def test_weights_and_batch_statistics(found, wanted, devices, step):
    for field, params, statistics in (
        ('variables', 'params', 'statistics'),
        ('average', 'average', 'average_statistics'),
    ):
        outcome, held = wanted[devices, step], found[devices, step]
        for (branch, name), value in outcome[params].items():
            path = f"['state'].{field}['params']['{branch}']['{name}']"
            # Adam's first updates are signs of gradients, and blow up rounding
            assert_on_all_devices(held[path], value, devices, path, atol=1e-5)
        path = f"['state'].{field}['batch_stats']['cell']['mean']"
        assert_on_all_devices(held[path], outcome[statistics], devices, path)
    assert (held["['state'].step"] == step + 1).all()


@pytest.mark.parametrize(('devices', 'step'), CASES)
def test_gradients_of_the_whole_batch(found, wanted, devices, step):
    """By Adam's moments; the weights alone would not tell a sum over devices from a mean."""
    outcome, held = wanted[devices, step], found[devices, step]
    for moment, field, atol in (('mu', 'first', 1e-7), ('nu', 'second', 1e-10)):
        for (branch, name), value in outcome[field].items():
            [path] = [p for p in held if p.endswith(f".{moment}['{branch}']['{name}']")]
            assert_on_all_devices(held[path], value, devices, path, rtol=1e-3, atol=atol)


def test_shard_map_in_the_place_of_pmap_gives_the_same_bits():
    """On 1, 2 and 4 devices, with batch normalisation, dropout and augmentation."""
    lines = [json.loads(line) for line in run_on_four_devices('twin_steps.py').splitlines()]
    outcomes = {devices: outcome for line in lines for devices, outcome in line.items()}
    assert list(outcomes) == ['1', '2', '4']
    for outcome in outcomes.values():
        assert outcome['differ'] == []
        assert outcome['late'] == {'pmap': [], 'twin': []}
        # three steps of a state, its average and Adam's moments, all of which move
        assert outcome['arrays'] > 100
        assert len(set(outcome['losses'])) == 3


def test_the_case_can_tell(wanted):
    """Dropout differs between devices, and every branch has a gradient."""
    one, four = (wanted[devices, 0] for devices in DEVICES)
    assert abs(one['losses']['cell_loss'] - four['losses']['cell_loss']) > 1e-3
    assert min(np.abs(value).max() for value in one['first'].values()) > 1e-4


def test_the_cell_branch_is_told_the_tissue_less_and_less():
    config = default.get_config()
    config.num_epochs, config.told_tissue.probability, config.told_tissue.until = 10, 0.8, 0.5
    told = told_probability(config, epoch_steps=20)
    np.testing.assert_allclose(
        [told(step) for step in (0, 25, 50, 100, 150)], [0.8, 0.6, 0.4, 0, 0], atol=1e-6
    )
    config.model.context = 'label'
    assert told_probability(config, epoch_steps=20) is None
    config.model.context, config.told_tissue.probability = 'prediction', 0.0
    assert told_probability(config, epoch_steps=20) is None


def test_each_pair_is_told_by_its_own_draw():
    class Listener(stub_steps.Stub):
        def apply(self, variables, inputs, **options):
            outputs, updates = super().apply(variables, inputs, **options)
            # as the only input that the tissue sees
            told = inputs['is_told'][:, None, None, None] * 1.0
            outputs['tissue_logits'] = outputs['tissue_logits'] * 0 + told * 50.0 * np.eye(2)[1]
            return outputs, updates

    config = default.get_config()
    config.told_tissue.probability = 0.5
    config.loss = 'cross_entropy'
    step = create_device_step(config, Listener(), optax.sgd(0.0), stub_steps.FINEST_MPP, 4)
    state = train_state.create(stub_steps.draw_variables(), tx=optax.sgd(0.0), averaged=False)
    batch = stub_steps.draw_batch(0)
    batch['tissue_mask'] = np.zeros_like(batch['tissue_mask'])
    batch = jax.tree.map(lambda x: x[None], batch)
    mapped = jax.jit(jax.vmap(step, in_axes=(None, None, 0), axis_name=train_state.AXIS))
    losses = []
    for number in range(30):
        _, metrics = mapped(0, state.replace(step=np.int32(number)), batch)
        # a pair that is told is wrong by 50, another one by log 2
        losses.append(float(metrics['tissue_loss'][0]))
    told = np.round((np.array(losses) - np.log(2)) / (50 - np.log(2)) * stub_steps.PAIRS)
    assert set(told) >= {1, 2, 3}
    assert 0.3 < told.mean() / stub_steps.PAIRS < 0.65
