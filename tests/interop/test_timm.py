"""ViTs and ConvNeXts: our maps against timm's own, and checkpoints that do not fit."""

import functools
import re

import flax.traverse_util
import jax
import numpy as np
import pytest
import safetensors.numpy
import timm_goldens
from ocelot_jax.configs import pred_inter2

from benchmarks import random_weights
from ocelot_jax.interop import pretrained, timm
from ocelot_jax.io.errors import InputError
from ocelot_jax.models import encoders, factory

CASES = list(timm_goldens.CASES)


def kind(case):
    return 'convnext' if case == 'convnext' else 'vit'


@functools.cache
def network(case):
    """Our encoder of a case, and the shapes of its parameters."""
    model = encoders.create(kind(case), timm_goldens.CASES[case][0], remat=False)
    init = functools.partial(model.init, jax.random.key(0), train=False)
    return model, jax.eval_shape(init, timm_goldens.image(case))['params']


def our_maps(case, image, **standard):
    model, shapes = network(case)
    params = timm.convert(timm_goldens.state_dict(case), shapes, **standard)
    params = flax.traverse_util.unflatten_dict(params)
    return jax.jit(functools.partial(model.apply, train=False))({'params': params}, image)


@pytest.mark.parametrize('case', CASES)
def test_maps_are_timm_s(case):
    for ours, theirs in zip(
        our_maps(case, timm_goldens.image(case)), timm_goldens.golden(case), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize('case', CASES)
def test_the_goldens_are_those_of_the_timm_at_hand(case):
    pytest.importorskip('timm', reason='timm is not installed; its stored outputs are compared')
    theirs = timm_goldens.timm_maps(case, timm_goldens.timm_network(case))
    for held, now in zip(timm_goldens.golden(case), theirs, strict=True):
        np.testing.assert_allclose(held, now, atol=1e-5)


@pytest.mark.parametrize('case', ['vit14', 'convnext'])
def test_images_may_be_standardised_otherwise(case):
    """As H-optimus wants them."""
    mean, std = (0.707223, 0.578729, 0.703617), (0.211883, 0.230117, 0.177517)
    pixels = 0.5 + 0.2 * timm_goldens.image(case)
    ours, theirs = (
        np.float32((pixels - each_mean) / each_std)
        for each_mean, each_std in ((timm.IMAGENET_MEAN, timm.IMAGENET_STD), (mean, std))
    )
    got, wanted = our_maps(case, ours, mean=mean, std=std), our_maps(case, theirs)
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=5e-5)


@pytest.mark.parametrize('case', CASES)
def test_shapes_tell_the_sizes(case):
    told = timm.sizes({k: v.shape for k, v in timm_goldens.state_dict(case).items()})
    heads = {k: v for k, v in timm_goldens.CASES[case][0].items() if k == 'num_heads'}
    wanted, found = (
        encoders.TIMM[kind(case)].sizes(**each)
        for each in (timm_goldens.CASES[case][0], told | heads)
    )
    if kind(case) == 'vit':
        assert found.hidden == wanted.hidden
        told['mlp_ratio'] = wanted.mlp_ratio
    assert encoders.TIMM[kind(case)].sizes(**told | heads) == wanted


def initialised(tmp_path, state_dict, branches=('tissue',), **changes):
    """Variables of a model with a tiny ViT in its tissue branch, before and after."""
    config = pred_inter2.get_config()
    config.model.encoder_name = 'resnet18'
    config.model.tissue_encoder_name = 'vit'
    config.model.vit.update(timm_goldens.CASES['vit'][0])
    config.model.update(changes)
    model = factory.create_model(config)
    before = random_weights.draw(factory.abstract_variables(model))
    file = tmp_path / 'encoder.safetensors'
    safetensors.numpy.save_file(state_dict, file)
    return before, pretrained.initialise(before, file, branches)


def test_the_encoder_alone_is_taken(tmp_path):
    state_dict = timm_goldens.state_dict('vit')
    before, after = (
        flax.traverse_util.flatten_dict(variables, sep='/')
        for variables in initialised(tmp_path, state_dict)
    )
    changed = {name for name in after if not np.array_equal(before[name], after[name])}
    assert changed == {name for name in after if name.startswith('params/tissue/encoder/')}
    np.testing.assert_array_equal(
        after['params/tissue/encoder/blocks_1/attn/qkv/kernel'],
        state_dict['blocks.1.attn.qkv.weight'].T,
    )


@pytest.mark.parametrize(
    ('case', 'spoil', 'branches', 'message'),
    [
        ('vit', lambda d: d.pop('norm.bias'), ['tissue'], "tensor 'norm.bias' is missing"),
        ('vit', lambda d: d.pop('pos_embed'), ['tissue'], "tensor 'pos_embed' is missing"),
        (
            'vit',
            lambda d: d.update({'norm_pre.weight': np.zeros(32, np.float32)}),
            ['tissue'],
            "tensor 'norm_pre.weight' is of no layer of the network",
        ),
        (
            'vit',
            lambda d: d.update({'norm.bias': np.zeros(3, np.float32)}),
            ['tissue'],
            "tensor 'norm.bias' is [3]; want [32]",
        ),
        (
            'vit14',
            lambda d: None,
            ['tissue'],
            'has other sizes than config.model.vit; want --config.model.vit.img_size=56 '
            '--config.model.vit.patch_size=14 --config.model.vit.mlp_ratio=5.3125 '
            "--config.model.vit.mlp_layer='SwiGLUPacked' --config.model.vit.init_values=1e-05 "
            '--config.model.vit.reg_tokens=3 --config.model.vit.no_embed_class=True',
        ),
        ('convnext', lambda d: None, ['tissue'], 'holds a convnext, the tissue branch has'),
        ('vit', lambda d: None, ['cell', 'tissue'], 'holds a vit, the cell branch has another'),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path, case, spoil, branches, message):
    state_dict = timm_goldens.state_dict(case)
    spoil(state_dict)
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        initialised(tmp_path, state_dict, branches)
    assert str(caught.value).startswith(f'config.model.pretrained: {tmp_path}/encoder.safe')
    assert '\n' not in str(caught.value)


def test_graphs_are_written_of_resnets_alone():
    branches = pytest.importorskip('ocelot_jax.interop.onnx_graph.branches')
    with pytest.raises(InputError, match=r"encoder_name: 'vit'; want a ResNet, .* --engine=xla"):
        branches.encode(None, None, 'vit', 16)
