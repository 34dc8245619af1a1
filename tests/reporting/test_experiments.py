"""Configurations to the paper's rows."""

import importlib

import pytest

from ocelot_jax.reporting.experiments import TABLE_5, data_set_of, experiment_of, is_told

BY_FILE = {
    'cell_only': 'Cell-only',
    'pred_input': 'Pred-to-input',
    'pred_inter1': 'Pred-to-inter-1',
    'pred_inter2': 'Pred-to-inter-2',
    'pred_output': 'Pred-to-output',
    'feature_sharing': 'Feature-sharing',
    'leaking': 'Tissue-label leaking',
    'unet': 'Cell-only, U-Net',
    'mfovce': 'MFoVCE-Net',
    'ablation_pred_inter2_label': 'Pred-to-inter-2, tissue label only',
    'ablation_pred_inter2_fov': 'Pred-to-inter-2, large FoV only',
    'ablation_feature_sharing_label': 'Feature-sharing, tissue label only',
    'ablation_feature_sharing_fov': 'Feature-sharing, large FoV only',
}


def read(name, *arguments):
    return importlib.import_module(f'configs.{name}').get_config(*arguments)


@pytest.mark.parametrize(('file', 'name'), BY_FILE.items())
def test_each_configuration_is_its_row(file, name):
    assert experiment_of(read(file)) == name


@pytest.mark.parametrize('experiment', [file for file, row in BY_FILE.items() if row in TABLE_5])
@pytest.mark.parametrize('data', ['tiger', 'carp'])
def test_so_it_is_on_the_other_data_sets(data, experiment):
    config = read(data, experiment)
    assert experiment_of(config) == BY_FILE[experiment]
    assert data_set_of(config.data.source) == data.upper()


@pytest.mark.parametrize(
    ('file', 'changes', 'name'),
    [
        # what a sweep or a smaller machine changes makes no other experiment
        ('feature_sharing', {'model.sharing.aspp': 'none'}, 'Feature-sharing'),
        ('pred_inter2', {'model.encoder_name': 'resnet18'}, 'Pred-to-inter-2'),
        # without a tissue branch its loss and its view do not matter
        ('cell_only', {'tissue_loss_weight': 0.0, 'data.large_fov': False}, 'Cell-only'),
        ('leaking', {'tissue_loss_weight': 0.0}, 'Tissue-label leaking'),
        # what the paper does not have gets a name of its own
        ('leaking', {'model.seam': 'aspp'}, 'Tissue-label leaking at aspp'),
        ('pred_inter2', {'model.architecture': 'unet'}, 'Pred-to-inter-2, U-Net'),
        ('mfovce', {'data.large_fov': False}, 'MFoVCE-Net, small FoV only'),
    ],
)
def test_names_follow_what_the_network_is_told(file, changes, name):
    config = read(file)
    config.update_from_flattened_dict(changes)
    assert experiment_of(config) == name
    assert is_told(name) == (file == 'leaking')


@pytest.mark.parametrize(
    ('source', 'name'),
    [
        ('ocelot', 'OCELOT'),
        ('ocelot:1.0.1', 'OCELOT'),
        ('/data/ocelot2023_v1.0.1.zip', 'OCELOT'),
        ('/data/ocelot2023_v1.0.1', 'OCELOT'),
        ('tiger', 'TIGER'),
        ('../carp', 'CARP'),
        ('ocelot_synthetic/small', 'ocelot_synthetic/small'),
        ('/data/crc_pairs_v1.zip', 'crc_pairs_v1'),
        ('crc_pairs_v1.zip', 'crc_pairs_v1'),
    ],
)
def test_data_sets_have_one_name_wherever_they_lie(source, name):
    assert data_set_of(source) == name


def test_what_a_run_was_trained_on_tells_a_path_from_a_name():
    assert data_set_of('data/pairs', 'pairs') == data_set_of('~/pairs', 'pairs') == 'pairs'
    synthetic = 'ocelot_synthetic/small'
    assert data_set_of(synthetic, f'{synthetic}/1.0.0') == synthetic
