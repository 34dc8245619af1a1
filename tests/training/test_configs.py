"""Every configuration trains and predicts, on one device and on two."""

import importlib
import json
import math
import os
import subprocess
import sys

import narrow
import pytest
from conftest import ROOT, make_release

NAMES = sorted(path.stem for path in (ROOT / 'configs').glob('[!_]*.py'))
DEVICES = (1, 2)
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
    """(number of devices, configuration) -> what `steps.py` says of it."""
    folder = make_release(tmp_path_factory.mktemp('pairs'), {'train': 2}, size=32)
    cache = tmp_path_factory.mktemp('compiled')
    processes = {}
    for devices in DEVICES:
        environment = os.environ | {
            'JAX_COMPILATION_CACHE_DIR': str(cache),
            'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
            'PYTHONPATH': f'{ROOT}{os.pathsep}{os.environ.get("PYTHONPATH", "")}',
            'XLA_FLAGS': f'--xla_force_host_platform_device_count={devices} {narrow.XLA_FLAGS}',
        }
        processes[devices] = subprocess.Popen(
            [sys.executable, str(ROOT / 'tests' / 'steps.py'), str(folder), *NAMES],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    result = {}
    for devices, process in processes.items():
        out, err = process.communicate()
        assert process.returncode == 0, err
        for line in out.splitlines():
            for name, outcome in json.loads(line).items():
                result[devices, name] = outcome
    return result


@pytest.mark.parametrize('row', TABLE_5)
@pytest.mark.parametrize('data', OTHER_DATA)
def test_rows_of_table_5_differ_from_ocelot_s_by_the_data_alone(data, row):
    wanted = importlib.import_module(f'configs.{row}').get_config()
    wanted.update_from_flattened_dict(OTHER_DATA[data])
    assert importlib.import_module(f'configs.{data}').get_config(row) == wanted


@pytest.mark.parametrize('row', [*TABLE_5, 'unet', 'mfovce', 'ablation_pred_inter2_label'])
@pytest.mark.parametrize('data', ['crc', 'demo'])
def test_small_patches_change_no_network(data, row):
    wanted = importlib.import_module(f'configs.{row}').get_config()
    config = importlib.import_module(f'configs.{data}').get_config(row)
    wanted.model.cell_dropout = wanted.model.tissue_dropout = 0.0
    assert config.model == wanted.model
    assert config.data.large_fov == wanted.data.large_fov
    assert config.tissue_loss_weight == wanted.tissue_loss_weight


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('devices', DEVICES)
def test_takes_a_step_and_predicts(outcomes, devices, name):
    outcome = outcomes[devices, name]
    assert all(math.isfinite(loss) for loss in outcome['losses'].values())
    assert all(0 < loss < 1 for key, loss in outcome['losses'].items() if key != 'loss')
    # Adam's first step moves every parameter that has a gradient by the learning rate
    assert min(outcome['moved'].values()) > 1e-5
    assert outcome['cells'] == [2, 8, 2]


@pytest.mark.parametrize('name', NAMES)
def test_two_devices_see_the_losses_of_one(outcomes, name):
    one, two = (outcomes[devices, name]['losses'] for devices in DEVICES)
    assert one.keys() == two.keys()
    for key in one:
        assert two[key] == pytest.approx(one[key], rel=1e-4)


def test_only_labels_are_learnt_and_scored(outcomes):
    """Without tissue labels no tissue is predicted, and the tissue branch learns all the same."""
    for name in ('ablation_pred_inter2_fov', 'ablation_feature_sharing_fov'):
        outcome = outcomes[1, name]
        assert outcome['tissue'] is None
        assert outcome['losses']['loss'] == outcome['losses']['cell_loss']
        assert outcome['moved']['tissue'] > 0
    assert outcomes[1, 'pred_inter2']['tissue'] == [2, 32, 32]
    for name in ('cell_only', 'leaking', 'unet', 'mfovce'):
        assert outcomes[1, name]['tissue'] is None
        assert 'tissue_loss' not in outcomes[1, name]['losses']
