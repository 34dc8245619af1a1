"""From configurations to networks."""

import contextlib
import functools
import importlib
import itertools
import re

import jax
import narrow
import numpy as np
import pytest
from conftest import ROOT
from ocelot_jax.configs import default, feature_sharing
from ocelot_jax.configs.sweeps import feature_sharing as candidates

from benchmarks import random_weights
from ocelot_jax.io.errors import InputError
from ocelot_jax.models import card, factory

CONFIGS = sorted(path.stem for path in (ROOT / 'configs').glob('*.py'))

# of the 64 candidates those that are built: each seam alone, each direction, none and all
DIRECTIONS_TO_BUILD = (
    ('none', 'none', 'none'),
    ('c2t', 'none', 'none'),
    ('none', 't2c', 'none'),
    ('none', 'none', 'both'),
    ('both', 'both', 'both'),
)


def shapes(config):
    tree = factory.abstract_variables(factory.create_model(config))
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): leaf.shape for path, leaf in leaves}


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'architecture': 'unet++'}, "architecture: 'unet\\+\\+'; want one of deeplabv3plus, un"),
        (
            {'pretrained_branches': ('tisue',)},
            "pretrained_branches: 'tisue'; want one of cell, ti",
        ),
        ({'encoder_name': 'vgg'}, "encoder_name: 'vgg'; want one of resnet18, resnet34, resnet50"),
        (
            {'context': 'label', 'seam': 'head'},
            "seam: 'head'; want one of input, encoder, aspp, d",
        ),
        (
            {'architecture': 'unet', 'seam': 'aspp'},
            "seam: 'aspp'; want one of input, encoder, decoder",
        ),
        (
            {'encoder_name': 'vit', 'context': 'label', 'seam': 'input'},
            "seam: 'input'; want one of encoder, aspp, decoder",
        ),
        (
            {'architecture': 'unet', 'seam': 'encoder', 'tissue_encoder_name': 'vit'},
            "tissue_encoder_name: 'vit'; want one of resnet18, resnet34, resnet50",
        ),
        (
            {'architecture': 'mfovce', 'context': 'none', 'tissue_encoder_name': 'resnet18'},
            "tissue_encoder_name: 'resnet18'; want none",
        ),
        ({'encoder_name': 'vit', 'vit.num_heads': 5}, r'vit\.num_heads: 5; want a divisor of 384'),
        (
            {'encoder_name': 'vit', 'vit.mlp_layer': 'GluMlp'},
            r"vit\.mlp_layer: 'GluMlp'; want one of Mlp, SwiGLUPacked",
        ),
        ({'architecture': 'mfovce'}, "context: 'prediction'; want one of none"),
        (
            {'context': 'features', 'sharing.aspp': 'up'},
            r"sharing\.aspp: 'up'; want one of none, t2c, c2t, both",
        ),
        (
            {'context': 'features', 'architecture': 'unet'},
            r"sharing\.aspp: 'both'; want one of none",
        ),
    ],
)
def test_names_what_there_is_not(values, message):
    config = default.get_config()
    config.update_from_flattened_dict({f'model.{name}': value for name, value in values.items()})
    with pytest.raises(ValueError, match=rf'config\.model\.{message}'):
        factory.create_model(config)


def test_the_sweep_holds_64_networks():
    sweep = candidates.get_sweep()
    assert sweep['configs'] == ('configs/feature_sharing.py',)
    axes = [[(field, value) for value in values] for field, values in sweep['axes'].items()]
    points = [dict(point) for point in itertools.product(*axes)]
    assert len({tuple(point.values()) for point in points}) == 64
    widths = set()
    for point in points:
        config = feature_sharing.get_config()
        config.model.encoder_name = narrow.ENCODER
        config.update_from_flattened_dict(point)
        factory.check_model(config.model)
        directions = tuple(point.values())
        if directions in DIRECTIONS_TO_BUILD:
            held = shapes(config)
            given = [name for name in held if '_to_' in name and 'kernel' in name]
            wanted = sum({'none': 0, 'both': 2}.get(direction, 1) for direction in directions)
            assert len(given) == wanted
            widths.add(tuple(sorted(held.items())))
    assert len(widths) == len(DIRECTIONS_TO_BUILD)


def test_parameters_are_counted_by_branch():
    counts = card.parameters(factory.create_model(default.get_config()))
    # segmentation_models.pytorch's DeepLabV3+ on ResNet-34 for one class, and further classes
    plain, head = 22_437_457, 256 + 1
    # what the seam before the decoder adds for each tissue class, depthwise and pointwise
    seam = 9 + 256
    assert counts == {
        'cell': plain + 2 * head + 2 * seam,
        'tissue': plain + head,
        'all': 2 * plain + 3 * head + 2 * seam,
    }


def test_the_card_names_modules_and_sums():
    config = narrow.get_config()
    text = card.describe(config)
    for module in ('cell/encoder', 'cell/aspp', 'tissue/decoder', 'tissue/head'):
        assert module in text
    variables = factory.abstract_variables(factory.create_model(config))
    total, trained = (
        sum(leaf.size for leaf in jax.tree.leaves(tree))
        for tree in (variables, variables['params'])
    )
    assert f'Total Parameters: {total:,} ' in text  # Flax counts batch statistics, too
    lines = text.splitlines()
    assert lines[-2].split() == ['all', f'{trained / 1e6:.2f}', 'M', 'parameters']
    assert lines[-1].endswith('GFLOPs for one pair of 1024 x 1024 px')


@pytest.mark.parametrize(
    ('name', 'cell', 'tissue', 'message'),
    [
        ('pred_inter2', (100, 96), (64, 64), 'cell_image of 96 x 100 px: .* multiples of 16'),
        ('pred_inter2', (48, 48), (64, 72), 'tissue_image of 72 x 64 px: .* multiples of 16'),
        ('mfovce', (48, 48), (64, 64), 'cell_image of 48 x 48 px: .* multiples of 32'),
        ('pred_inter2', (48, 48), (64, 80), None),
        ('cell_only', (48, 48), (33, 33), None),  # it looks at no tissue patch
    ],
)
def test_patches_are_covered_by_the_maps_or_refused(name, cell, tissue, message):
    model = factory.create_model(importlib.import_module(f'configs.{name}').get_config())
    refused = pytest.raises(InputError, match=message) if message else contextlib.nullcontext()
    with refused:
        factory.check_sizes(model, cell, tissue)


def test_frozen_encoders_of_mfovce_compute_in_training_what_they_compute_later():
    config = importlib.import_module('configs.mfovce').get_config()
    config.model.encoder_name = narrow.ENCODER
    batch = factory.blank_batch((32, 32), (32, 32))
    moved = []
    for multiplier in (1.0, 0.0):
        config.optimizer.encoder_lr_multiplier = multiplier
        model = factory.create_model(config)
        variables = random_weights.draw(factory.abstract_variables(model))
        apply = functools.partial(model.apply, variables, batch, train=True)
        _, after = jax.jit(
            lambda f=apply: f(rngs={'dropout': jax.random.key(0)}, mutable=['batch_stats'])
        )()
        differ = jax.tree.map(
            lambda a, b: bool((a != b).any()), variables['batch_stats'], after['batch_stats']
        )
        moved.append({part: any(jax.tree.leaves(tree)) for part, tree in differ.items()})
    assert moved == [
        {'cell': True, 'tissue': True, 'cell_head': True},
        {'cell': False, 'tissue': False, 'cell_head': True},
    ]


@pytest.mark.parametrize('name', ['pred_inter2', 'feature_sharing', 'mfovce'])
def test_bfloat16_is_what_all_convolutions_compute_in(name):
    config = importlib.import_module(f'configs.{name}').get_config()
    config.model.encoder_name = narrow.ENCODER
    config.model.dtype = 'bfloat16'
    model = factory.create_model(config)
    batch = factory.blank_batch()
    variables = factory.abstract_variables(model)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype(np.float32)}
    program = jax.make_jaxpr(lambda v: model.apply(v, batch, train=False))(variables)
    convolutions = re.findall(r':(\w+)\[[\d,]+\] = conv_general_dilated', str(program))
    # the jaxpr of a convolution holds both its forms, of which bfloat16 takes the native one
    assert set(convolutions) == {'bf16'}
    assert program.out_avals[0].dtype == np.float32
