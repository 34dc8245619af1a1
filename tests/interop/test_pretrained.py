"""Weights under other people's names: taken in, widened, written out."""

import functools
import json
import struct
import sys
import types

import flax.traverse_util
import jax
import numpy as np
import pytest
import safetensors.numpy
from ocelot_jax.configs import cell_only, pred_inter2
from smp_weights import from_smp, random_state_dict, torchvision_resnet

from benchmarks import random_weights
from ocelot_jax.interop import pretrained
from ocelot_jax.io.errors import InputError, MissingFileError
from ocelot_jax.models import factory


def create_config(experiment, **changes):
    config = experiment.get_config()
    config.model.encoder_name = 'resnet18'
    config.model.update(changes)
    return config


@functools.cache
def shapes(experiment, **changes):
    return factory.abstract_variables(factory.create_model(create_config(experiment, **changes)))


def draw_variables(experiment, **changes):
    return random_weights.draw(shapes(experiment, **changes), seed=1)


def flat(variables):
    return flax.traverse_util.flatten_dict(variables, sep='/')


def write(path, tensors):
    safetensors.numpy.save_file(tensors, path)
    return path


@pytest.mark.parametrize('branches', [('cell',), ('cell', 'tissue')])
def test_a_resnet_becomes_the_encoder_of_the_branches_named(tmp_path, branches):
    before = draw_variables(pred_inter2)
    state_dict = torchvision_resnet('resnet18')
    file = write(tmp_path / 'resnet18.safetensors', state_dict)
    after = flat(pretrained.initialise(before, file, branches))
    changed = {
        name for name, array in flat(before).items() if not np.array_equal(array, after[name])
    }
    assert changed == {
        name for name in after for branch in branches if f'/{branch}/encoder/' in name
    }
    for branch in branches:
        np.testing.assert_array_equal(
            after[f'params/{branch}/encoder/stage2_block1/shortcut/conv/kernel'],
            state_dict['layer2.0.downsample.0.weight'][:, :, 0, 0].T,
        )
        np.testing.assert_array_equal(
            after[f'batch_stats/{branch}/encoder/stem/bn/var'], state_dict['bn1.running_var']
        )


@pytest.mark.parametrize(
    ('context', 'seam', 'start', 'count'),
    [
        ('label', 'input', {'encoder/stem/conv': 3}, 2),
        (
            'label',
            'encoder',
            {f'aspp/{n}': 512 for n in ('pointwise/conv', 'pool/conv', 'atrous12/pointwise')},
            2,
        ),
        ('label', 'aspp', {'decoder/fuse/pointwise': 256}, 2),
        ('label', 'decoder', {'head': 256}, 2),
        ('features', 'aspp', {'decoder/fuse/pointwise': 256}, 64),
    ],
)
def test_widened_layers_compute_at_first_what_the_plain_ones_do(
    tmp_path, context, seam, start, count
):
    """New channels stand where they are injected, and weigh nothing."""
    state_dict = random_state_dict('resnet18')
    plain = flat(from_smp(state_dict))
    before = draw_variables(cell_only, context=context, seam=seam)
    file = write(tmp_path / 'smp.safetensors', state_dict)
    after = flat(pretrained.initialise(before, file, ('cell',)))
    for path, first in start.items():
        kernel = after[f'params/cell/{path}/kernel']
        axis = kernel.ndim - 2
        new = np.take(kernel, np.arange(first, first + count), axis)
        assert not new.any()
        kept = np.delete(kernel, np.s_[first : first + count], axis)
        np.testing.assert_array_equal(kept, plain[f'params/{path}/kernel'])
    # all that no seam widened is as in the file
    for path, array in plain.items():
        collection, _, rest = path.partition('/')
        taken = after[f'{collection}/cell/{rest}']
        if taken.shape == array.shape:
            np.testing.assert_array_equal(taken, array)


def test_depthwise_kernels_of_new_channels_stay_as_they_were(tmp_path):
    before = draw_variables(pred_inter2)
    state_dict = random_state_dict('resnet18')
    file = write(tmp_path / 'smp.safetensors', state_dict)
    after = flat(pretrained.initialise(before, file, ('cell',)))
    name = 'params/cell/decoder/fuse/depthwise/kernel'
    np.testing.assert_array_equal(after[name][..., 256:258], flat(before)[name][..., 256:258])
    theirs = state_dict['decoder.block2.0.0.weight'][:, 0].transpose(1, 2, 0)
    np.testing.assert_array_equal(np.delete(after[name], [256, 257], -1), theirs)


def test_a_head_of_other_classes_is_left_alone(tmp_path):
    before = draw_variables(pred_inter2)
    file = write(tmp_path / 'smp.safetensors', random_state_dict('resnet18', num_classes=21))
    after = flat(pretrained.initialise(before, file, ('cell', 'tissue')))
    for name in ('params/cell/head/kernel', 'params/tissue/head/bias'):
        np.testing.assert_array_equal(after[name], flat(before)[name])


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (lambda d: d.pop('layer3.1.conv2.weight'), r"'encoder\.layer3\.1\.conv2\.weight' is miss"),
        (
            lambda d: d.update({'layer3.9.conv2.weight': np.zeros(1, np.float32)}),
            r"'encoder\.layer3\.9\.conv2\.weight' is of no layer",
        ),
        (
            lambda d: d.update({'layer1.0.conv1.weight': np.zeros((64, 32, 3, 3), np.float32)}),
            r'stage1_block1/conv1/conv/kernel is \[3, 3, 32, 64\]; want \[3, 3, 64, 64\]',
        ),
        (
            lambda d: d.update({'bn1.bias': np.zeros(32, np.float32)}),
            r'stem/bn/bias is \[32\]; want \[64\]',
        ),
        (lambda d: d.pop('conv1.weight'), "its first tensor is 'bn1.bias'; want a ResNet"),
    ],
)
def test_names_what_does_not_fit(tmp_path, spoil, message):
    before = draw_variables(cell_only)
    state_dict = torchvision_resnet('resnet18')
    spoil(state_dict)
    file = write(tmp_path / 'bad.safetensors', state_dict)
    with pytest.raises(ValueError, match=message) as caught:
        pretrained.initialise(before, file, ('cell',))
    assert str(caught.value).startswith(f'config.model.pretrained: {file}: ')
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('encoders', [('resnet18', 'resnet34'), ('resnet34', 'resnet18')])
def test_another_encoder_is_named(tmp_path, encoders):
    """Also one with fewer layers, which would leave some of the network's as they were drawn."""
    own, given = encoders
    before = draw_variables(cell_only, encoder_name=own)
    file = write(tmp_path / f'{given}.safetensors', torchvision_resnet(given))
    with pytest.raises(InputError, match='; is the encoder the same'):
        pretrained.initialise(before, file, ('cell',))


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('a.safetensors', b'no such thing', 'no safetensors'),
        ('a.onnx', b'', 'want .safetensors, .pth, .pt or .bin'),
    ],
)
def test_files_that_are_no_weights(tmp_path, name, content, message):
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        pretrained.read(file)
    with pytest.raises(FileNotFoundError, match=r'missing\.pth is not there'):
        pretrained.read(tmp_path / 'missing.pth')


class FakeTensor:
    """As much of a PyTorch tensor as reading needs."""

    def __init__(self, array):
        self._array = array

    def float(self):
        return FakeTensor(self._array.astype(np.float32))

    def numpy(self):
        return self._array


@pytest.fixture
def fake_torch(monkeypatch):
    """PyTorch's reader as far as we call it: it gives what the test put in `content`."""
    module = types.ModuleType('torch')
    module.Tensor = FakeTensor
    module.content = None
    module.calls = []

    def load(file, *, map_location, weights_only):
        module.calls.append((map_location, weights_only))
        if isinstance(module.content, Exception):
            raise module.content
        return module.content

    module.load = load
    monkeypatch.setitem(sys.modules, 'torch', module)
    return module


@pytest.mark.parametrize('nested', [False, True])
def test_pth_is_read_without_running_anything(tmp_path, fake_torch, nested):
    arrays = {'conv1.weight': np.arange(4, dtype=np.float16)}
    tensors = {name: FakeTensor(array) for name, array in arrays.items()}
    fake_torch.content = {'state_dict': tensors, 'epoch': 3} if nested else tensors
    file = tmp_path / 'a.pth'
    file.touch()
    read = pretrained.read(file)
    assert fake_torch.calls == [('cpu', True)]
    assert read['conv1.weight'].dtype == np.float32
    np.testing.assert_array_equal(read['conv1.weight'], arrays['conv1.weight'])


@pytest.mark.parametrize('content', [[1], {}, {'a': 3}, RuntimeError('Weights only\nfailed')])
def test_pth_with_more_than_tensors_is_refused(tmp_path, fake_torch, content):
    fake_torch.content = content
    file = tmp_path / 'a.pth'
    file.touch()
    with pytest.raises(ValueError, match='state_dict') as caught:
        pretrained.read(file)
    assert '\n' not in str(caught.value)


def test_pth_without_pytorch_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'torch', None)
    file = tmp_path / 'a.pth'
    file.touch()
    with pytest.raises(ImportError, match=r'a\.pth needs PyTorch: pip install'):
        pretrained.read(file)


@pytest.mark.parametrize(('seam', 'added'), [('aspp', (256, 257)), ('decoder', (256, 257))])
def test_export_can_be_read_back_and_says_what_was_widened(tmp_path, monkeypatch, seam, added):
    config = create_config(pred_inter2, seam=seam)
    trained = draw_variables(pred_inter2, seam=seam)
    monkeypatch.setattr(pretrained.configuration, 'load_config', lambda workdir: config)
    monkeypatch.setattr(pretrained.checkpoints, 'restore_best', lambda workdir, like: (7, trained))
    file = tmp_path / 'out.safetensors'
    pretrained.export(tmp_path, file)

    with file.open('rb') as stream:
        [size] = struct.unpack('<Q', stream.read(8))
        metadata = json.loads(stream.read(size))['__metadata__']
    widened = {
        'aspp': ('decoder.block2.0.0', 'decoder.block2.0.1'),
        'decoder': ('segmentation_head.0',),
    }
    assert metadata == {
        'format': 'pt',
        'encoder_name': 'resnet18',
        **{
            f'cell.{name}.weight': f'a seam added input channels {added[0]} to {added[1]}'
            for name in widened[seam]
        },
    }
    tensors = safetensors.numpy.load_file(file)
    assert {name.partition('.')[0] for name in tensors} == {'cell', 'tissue'}
    # without the channels that the metadata name, it is what smp's network takes
    plain = random_state_dict('resnet18')
    for name, array in plain.items():
        taken = tensors[f'cell.{name}']
        if f'cell.{name}' in metadata:
            taken = np.delete(taken, added, 0 if 'block2.0.0' in name else 1)
        assert taken.shape == array.shape, name

    other = jax.tree.map(np.zeros_like, trained)
    back = flat(pretrained.initialise(other, file, ('cell', 'tissue')))
    for name, array in flat(trained).items():
        np.testing.assert_array_equal(back[name], array)


def test_export_needs_a_run(tmp_path):
    with pytest.raises(MissingFileError, match=f'^{tmp_path}/config.json: not there'):
        pretrained.export(tmp_path, tmp_path / 'out.safetensors')
    assert not (tmp_path / 'out.safetensors').exists()
