"""Layers under the names of segmentation_models.pytorch."""

import numpy as np
import pytest
from smp_weights import from_smp, smp_weights, torchvision_resnet

from ocelot_jax.interop import smp


@pytest.fixture(scope='module')
def weights(shared):
    """A segmentation_models.pytorch DeepLabV3+ of three classes, by the golden file's names."""
    golden = np.load(shared / 'goldens' / 'smp_deeplabv3plus_resnet34.npz')
    return smp_weights(golden['names'], golden['shapes'], 5)


def test_the_way_back_is_exact(weights):
    back = smp.to_smp(from_smp(weights))
    assert back.keys() == weights.keys()
    for name, array in weights.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(back[name], array)


# The numbers of parameters that torchvision states for its classifiers, less the classifier's own.
@pytest.mark.parametrize(
    ('encoder', 'parameters'),
    [
        ('resnet18', 11_689_512 - 513_000),
        ('resnet34', 21_797_672 - 513_000),
        ('resnet50', 25_557_032 - 2_049_000),
    ],
)
def test_encoders_have_the_layers_of_torchvision(encoder, parameters):
    state_dict = torchvision_resnet(encoder)
    trained = [
        array.size
        for name, array in state_dict.items()
        if not name.startswith('fc.') and not name.endswith(('mean', 'var', 'tracked'))
    ]
    assert sum(trained) == parameters
    assert smp.encoder_of({f'encoder.{name}': 0 for name in state_dict}) == encoder
    last = 'layer4.1.conv2.weight' if encoder == 'resnet18' else 'layer4.2.conv2.weight'
    assert state_dict[last].shape == (512, 512, 3, 3)


def test_names_the_missing_and_the_extra_tensor(weights):
    missing = {k: v for k, v in weights.items() if k != 'decoder.aspp.0.project.0.weight'}
    with pytest.raises(ValueError, match=r"'decoder\.aspp\.0\.project\.0\.weight' is missing"):
        from_smp(missing)
    with pytest.raises(ValueError, match=r"'encoder\.fc\.weight' is of no layer"):
        from_smp(weights | {'encoder.fc.weight': np.zeros((2, 2))})
