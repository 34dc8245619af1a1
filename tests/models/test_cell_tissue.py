"""The cell-tissue models: what is injected where, and what depends on what."""

import flax.linen as nn
import jax
import narrow
import numpy as np
import pytest
from random_networks import random_variables

from ocelot_jax.models import CellTissue

SIZE = 32
TISSUE_CLASSES = 4
MODELS = {
    'cell_only': ('none', 'aspp'),
    'leaking': ('label', 'input'),
    'pred_input': ('prediction', 'input'),
    'pred_inter1': ('prediction', 'encoder'),
    'pred_inter2': ('prediction', 'aspp'),
    'pred_output': ('prediction', 'decoder'),
}
# The convolutions that see a seam, and the axis of their kernels that counts its channels.
WIDENED = {
    'input': {'encoder/stem/conv/kernel': 2},
    'encoder': {
        'aspp/pointwise/conv/kernel': 0,
        'aspp/pool/conv/kernel': 0,
        **{f'aspp/atrous{rate}/depthwise/kernel': 2 for rate in (12, 24, 36)},
        **{f'aspp/atrous{rate}/pointwise/kernel': 0 for rate in (12, 24, 36)},
    },
    'aspp': {'decoder/fuse/depthwise/kernel': 2, 'decoder/fuse/pointwise/kernel': 0},
    'decoder': {'head/kernel': 0},
}


def make_model(name, **kwargs):
    context, seam = MODELS[name]
    wanted = {'encoder_name': narrow.ENCODER, 'context': context, 'seam': seam}
    return CellTissue(2, TISSUE_CLASSES, **wanted, **kwargs)


def make_batch(seed=0, size=1):
    rng = np.random.default_rng(seed)
    image = (size, SIZE, SIZE, 3)
    return {
        'cell_image': rng.standard_normal(image).astype(np.float32),
        'tissue_image': rng.standard_normal(image).astype(np.float32),
        'tissue_mask': rng.integers(0, TISSUE_CLASSES, image[:3]).astype(np.int32),
        # the cell patch covers 8 x 8 of the tissue patch's pixels, from (8, 16)
        'center': np.tile(np.float32([0.375, 0.625]), (size, 1)),
        'cell_mpp': np.full(size, 0.2, np.float32),
        'tissue_mpp': np.full(size, 0.8, np.float32),
    }


CROP = np.s_[:, 16:24, 8:16]


def shapes_of_variables(model):
    batch = make_batch()
    return jax.eval_shape(lambda: model.init(jax.random.key(0), batch, train=False))


@pytest.fixture(scope='module')
def cell_only_shapes():
    return shapes_of_variables(make_model('cell_only'))


def flatten(tree):
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(p, simple=True, separator='/'): leaf for p, leaf in leaves}


@pytest.fixture(scope='module')
def compiled():
    """Name of a model -> (variables, compiled model), each compiled once and without care."""
    made = {}

    def get(name):
        if name not in made:
            model = make_model(name)
            apply = jax.jit(
                lambda variables, batch: model.apply(variables, batch, train=False),
            )
            variables = jax.device_put(random_variables(model))
            made[name] = variables, apply
        return made[name]

    return get


def changed(batch, name, where=np.s_[:]):
    """The batch with other values of one field there."""
    values = batch[name].copy()
    if name == 'tissue_mask':
        values[where] = (values[where] + 1) % TISSUE_CLASSES
    else:
        values[where] = 1 - values[where]
    return batch | {name: values}


def differ(a, b):
    return np.abs(np.asarray(a) - np.asarray(b)).max() > 1e-3


@pytest.mark.parametrize('name', MODELS)
def test_shapes_of_outputs(name):
    model = make_model(name)
    batch = make_batch(size=2)
    # patches of different sizes, not square; both fields of view have the same aspect
    batch['cell_image'] = np.zeros((2, 48, 32, 3), np.float32)
    batch['tissue_image'] = np.zeros((2, 96, 64, 3), np.float32)
    batch['tissue_mask'] = np.zeros((2, 96, 64), np.int32)
    outputs, _ = jax.eval_shape(
        lambda: model.init_with_output(jax.random.key(0), batch, train=False)
    )
    assert outputs['cell_logits'].shape == (2, 48, 32, 3)
    assert outputs['cell_logits'].dtype == np.float32
    if MODELS[name][0] == 'prediction':
        assert outputs['tissue_logits'].shape == (2, 96, 64, TISSUE_CLASSES)
    else:
        assert outputs['tissue_logits'] is None


@pytest.mark.parametrize('name', [name for name in MODELS if name != 'cell_only'])
def test_the_layers_behind_the_seam_are_wider_by_the_tissue_classes(name, cell_only_shapes):
    context, seam = MODELS[name]
    alone = cell_only_shapes
    fed = shapes_of_variables(make_model(name))
    assert set(alone['params']) == {'cell'}
    assert set(fed['params']) == ({'cell', 'tissue'} if context == 'prediction' else {'cell'})
    wider = {path: list(leaf.shape) for path, leaf in flatten(alone['params']['cell']).items()}
    for path, axis in WIDENED[seam].items():
        wider[path][axis] += TISSUE_CLASSES
    assert {p: list(leaf.shape) for p, leaf in flatten(fed['params']['cell']).items()} == wider


def replaced(variables, path, leaf):
    """The variables with another value of one parameter."""
    params = flatten(variables['params'])
    assert path in params
    params[path] = leaf
    structure = jax.tree.structure(variables['params'])
    return variables | {'params': jax.tree.unflatten(structure, params.values())}


def deafened(variables, name):
    """The variables with weight 0 for every injected channel."""
    # the decoder puts its detail behind the 256 context channels and what was injected
    start = {'input': 3, 'aspp': 256}[MODELS[name][1]]
    for path, axis in WIDENED[MODELS[name][1]].items():
        kernel = np.moveaxis(np.array(flatten(variables['params'])[f'cell/{path}']), axis, 0)
        kernel[start : start + TISSUE_CLASSES] = 0
        variables = replaced(variables, f'cell/{path}', np.moveaxis(kernel, 0, axis))
    return variables


def test_cell_only_sees_no_tissue(compiled):
    variables, apply = compiled('cell_only')
    batch = make_batch()
    logits = apply(variables, batch)['cell_logits']
    for field in ('tissue_image', 'tissue_mask', 'center'):
        np.testing.assert_array_equal(
            apply(variables, changed(batch, field))['cell_logits'], logits
        )
    assert differ(apply(variables, changed(batch, 'cell_image'))['cell_logits'], logits)


def test_leaking_sees_the_mask_in_the_crop_alone(compiled):
    variables, apply = compiled('leaking')
    batch = make_batch()
    logits = apply(variables, batch)['cell_logits']
    assert differ(apply(variables, changed(batch, 'tissue_mask', CROP))['cell_logits'], logits)
    # interpolation reaches one pixel beyond the crop
    far = np.ones((1, SIZE, SIZE), bool)
    far[:, 15:25, 7:17] = False
    np.testing.assert_array_equal(
        apply(variables, changed(batch, 'tissue_mask', far))['cell_logits'], logits
    )
    np.testing.assert_array_equal(
        apply(variables, changed(batch, 'tissue_image'))['cell_logits'], logits
    )


def test_leaking_tells_nothing_where_tissue_is_unknown(compiled):
    variables, apply = compiled('leaking')
    batch = make_batch()
    unknown = batch | {'tissue_mask': np.full_like(batch['tissue_mask'], 255)}
    deaf = deafened(variables, 'leaking')
    got = apply(variables, unknown)['cell_logits']
    np.testing.assert_allclose(got, apply(deaf, batch)['cell_logits'], rtol=1e-5, atol=1e-5)
    assert differ(got, apply(variables, batch)['cell_logits'])


def test_leaking_tells_the_class_of_the_place(compiled):
    """A mask of one class in the crop acts as that class's channel of ones."""
    variables, apply = compiled('leaking')
    batch = make_batch()
    kernel = variables['params']['cell']['encoder']['stem']['conv']['kernel']
    for label in (1, TISSUE_CLASSES - 1):
        mask = np.full_like(batch['tissue_mask'], label)
        got = apply(variables, batch | {'tissue_mask': mask})['cell_logits']
        order = [0, 1, 2, *(3 + (np.arange(TISSUE_CLASSES) + label) % TISSUE_CLASSES)]
        swapped = replaced(variables, 'cell/encoder/stem/conv/kernel', kernel[:, :, order])
        wanted = apply(swapped, batch | {'tissue_mask': np.zeros_like(mask)})['cell_logits']
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


def test_prediction_flows_from_tissue_to_cells_alone(compiled):
    variables, apply = compiled('pred_inter2')
    batch = make_batch()
    outputs = apply(variables, batch)
    other = apply(variables, changed(batch, 'tissue_image'))
    assert differ(other['cell_logits'], outputs['cell_logits'])
    other = apply(variables, changed(batch, 'center'))
    assert differ(other['cell_logits'], outputs['cell_logits'])
    np.testing.assert_array_equal(other['tissue_logits'], outputs['tissue_logits'])
    other = apply(variables, changed(batch, 'cell_image'))
    assert differ(other['cell_logits'], outputs['cell_logits'])
    np.testing.assert_array_equal(other['tissue_logits'], outputs['tissue_logits'])
    # the true tissue never leaks into a prediction
    other = apply(variables, changed(batch, 'tissue_mask'))
    np.testing.assert_array_equal(other['cell_logits'], outputs['cell_logits'])


def test_prediction_injects_probabilities(compiled):
    """Adding a constant to all tissue logits changes no probability, hence no cell."""
    variables, apply = compiled('pred_inter2')
    batch = make_batch()
    bias = variables['params']['tissue']['head']['bias']
    shifted = replaced(variables, 'tissue/head/bias', bias + 5)
    got, wanted = apply(shifted, batch), apply(variables, batch)
    np.testing.assert_allclose(got['tissue_logits'], wanted['tissue_logits'] + 5, atol=1e-3)
    np.testing.assert_allclose(got['cell_logits'], wanted['cell_logits'], rtol=1e-3, atol=1e-4)
    shifted = replaced(variables, 'tissue/head/bias', bias + 5 * np.arange(TISSUE_CLASSES))
    assert differ(apply(shifted, batch)['cell_logits'], wanted['cell_logits'])


@pytest.mark.parametrize('name', ['leaking', 'pred_inter2'])
def test_without_its_injected_channels_a_model_is_cell_only(compiled, name):
    """The injected channels stand last at their seam; nothing else differs from Cell-only."""
    variables, apply = compiled(name)
    alone, apply_alone = compiled('cell_only')
    shapes = {path: leaf.shape for path, leaf in flatten(alone['params']).items()}
    start = {'input': 3, 'aspp': 256}[MODELS[name][1]]
    cut = {}
    for path, leaf in flatten(variables['params']).items():
        axis = WIDENED[MODELS[name][1]].get(path.removeprefix('cell/'))
        if path.startswith('cell/'):
            channels = range(start, start + TISSUE_CLASSES)
            cut[path] = leaf if axis is None else np.delete(leaf, channels, axis)
    assert {path: leaf.shape for path, leaf in cut.items()} == shapes
    params = jax.tree.unflatten(jax.tree.structure(alone['params']), cut.values())
    stats = {'cell': variables['batch_stats']['cell']}
    batch = make_batch()
    wanted = apply_alone({'params': params, 'batch_stats': stats}, batch)['cell_logits']
    got = apply(deafened(variables, name), batch)['cell_logits']
    np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-4)


def test_each_branch_has_its_dropout_and_the_shared_axis():
    rates = {'cell_dropout': 0.3, 'tissue_dropout': 0.2, 'aspp_dropout': 0.4}
    model = make_model('pred_inter2', **rates, axis_name='devices')
    dropouts, axes = [], set()

    def watch(call, args, kwargs, context):
        module = context.module
        if isinstance(module, nn.Dropout):
            dropouts.append(('/'.join(module.path[:2]), module.rate, module.broadcast_dims))
        if isinstance(module, nn.BatchNorm):
            axes.add(module.axis_name)
        return call(*args, **kwargs)

    with nn.intercept_methods(watch):
        shapes_of_variables(model)
    assert axes == {'devices'}
    wanted = []
    for branch, rate in (('tissue', 0.2), ('cell', 0.3)):
        wanted += [(f'{branch}/encoder', rate, (1, 2))] * 4
        wanted += [(f'{branch}/aspp', 0.4, ())]
    assert dropouts == wanted


def told(model, logits, train=False, **batch):
    """What the cell branch is told of the tissue, without the rest of the network."""
    rngs = {'dropout': jax.random.key(0)}
    found = model.apply({}, logits, batch, train, method='_told', rngs=rngs)
    return np.asarray(found)


def random_logits():
    return np.random.default_rng(3).standard_normal((2, 8, 8, TISSUE_CLASSES), np.float32)


def test_who_is_told_the_true_tissue_sees_it_where_it_is_known():
    model, logits = make_model('pred_inter2'), random_logits()
    mask = np.random.default_rng(4).choice([*range(TISSUE_CLASSES), 255], (2, 8, 8))
    predicted = told(model, logits, tissue_mask=mask)
    np.testing.assert_allclose(predicted, jax.nn.softmax(logits), rtol=1e-6)
    # of two pairs the second is told
    found = told(model, logits, tissue_mask=mask, is_told=np.array([False, True]))
    np.testing.assert_array_equal(found[0], predicted[0])
    known = mask[1] != 255
    np.testing.assert_array_equal(found[1][known], np.eye(TISSUE_CLASSES)[mask[1][known]])
    np.testing.assert_array_equal(found[1][~known], predicted[1][~known])


def test_the_noise_on_what_is_told_is_one_of_training():
    model, logits = make_model('pred_inter2', context_noise=2.0), random_logits()
    predicted = np.asarray(jax.nn.softmax(logits))
    np.testing.assert_allclose(told(model, logits), predicted, rtol=1e-6)
    noise = np.log(told(model, logits, train=True)) - np.log(predicted)
    # the softmax leaves out what all classes have in common
    spread = (noise - noise.mean(-1, keepdims=True)).std() / np.sqrt(1 - 1 / TISSUE_CLASSES)
    assert 1.8 < spread < 2.2


@pytest.mark.parametrize('flows', [True, False])
def test_the_cell_loss_reaches_the_tissue_branch_where_it_may(flows):
    model, logits = make_model('pred_inter2', context_gradient=flows), random_logits()
    probability_of_class_1 = lambda x: model.apply({}, x, {}, False, method='_told')[..., 1].sum()
    found = jax.grad(probability_of_class_1)(logits)
    probs = np.asarray(jax.nn.softmax(logits))
    # of a softmax by its logits
    wanted = probs[..., 1:2] * (np.eye(TISSUE_CLASSES)[1] - probs)
    np.testing.assert_allclose(found, wanted * flows, atol=1e-6)
