"""Files that hold a trained network, for other programs."""

import json
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from fake_runs import SMALL, make_run
from random_networks import add_encoders, create_config, random_variables

from ocelot_jax.data.patches import Patches
from ocelot_jax.inference import exporting
from ocelot_jax.inference.engines import network
from ocelot_jax.interop.onnx_graph import to_onnx
from ocelot_jax.io.errors import InputError
from ocelot_jax.models import factory


@pytest.fixture(scope='module', autouse=True)
def encoders():
    with pytest.MonkeyPatch.context() as monkeypatch:
        add_encoders(monkeypatch)
        yield


@pytest.fixture(scope='module')
def variables():
    return random_variables(factory.create_model(create_config('unet, cell-only')))


@pytest.fixture(scope='module')
def run(tmp_path_factory, variables):
    """The cheapest network to compile; the others are compared in `test_engines.py`."""
    config = create_config('unet, cell-only')
    return make_run(tmp_path_factory.mktemp('runs') / 'run', config, variables=variables)


def test_a_run_becomes_a_file_that_tells_of_itself(run, tmp_path):
    file = tmp_path / 'network.onnx'
    assert 0 < exporting.export(run, file) < 1e-4
    onnx.checker.check_model(onnx.load(file), full_check=True)
    session = onnxruntime.InferenceSession(file)
    told = {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items()}
    assert told['cell_classes'] == ['no cell', 'BC', 'TC']
    assert told['cell_mpp'] == SMALL.cell_mpp
    assert told['tissue_mpp'] == SMALL.tissue_mpp
    assert told['config'] == json.loads((run / 'config.json').read_text())
    assert told['step'] == 1
    assert {value.name: value.shape for value in session.get_inputs()} == {
        'cell_image': ['batch', 64, 64, 3]
    }
    for count in (1, 3):
        image = np.full((count, 64, 64, 3), 128, np.uint8)
        [probabilities] = session.run(['cell_probabilities'], {'cell_image': image})
        assert probabilities.shape == (count, 64, 64, 3)
        np.testing.assert_allclose(probabilities.sum(-1), 1, atol=1e-5)


def test_a_run_of_another_precision_becomes_the_same_graph(run, variables, tmp_path):
    config = create_config('unet, cell-only', model__dtype='bfloat16')
    other = make_run(tmp_path / 'run', config, variables=variables)
    assert 0 < exporting.export(other, tmp_path / 'network.onnx') < 1e-4


def test_other_patches_than_the_runs_can_be_chosen(run, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, 'compare', lambda *_: 0.0)  # spares a compilation
    file = tmp_path / 'network.onnx'
    exporting.export(run, file, Patches(32, 0.25, 96, 1.0))
    [image] = onnxruntime.InferenceSession(file).get_inputs()
    assert image.shape == ['batch', 32, 32, 3]


@pytest.mark.parametrize('difference', [1.1e-4, np.nan])
def test_a_graph_that_differs_from_jax_is_not_written(run, tmp_path, monkeypatch, difference):
    monkeypatch.setattr(exporting, 'compare', lambda *_: difference)
    with pytest.raises(ValueError, match=r'network\.onnx: probabilities of graph and JAX differ'):
        exporting.export(run, tmp_path / 'network.onnx')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('fault', [0.01, np.nan])
def test_differences_are_seen(variables, tmp_path, monkeypatch, fault):
    file = tmp_path / 'network.onnx'
    model = factory.create_model(create_config('unet, cell-only'))
    onnx.save(to_onnx(model, variables, (32, 32), (32, 32)), file)
    pairs = exporting.random_pairs(Patches(32, 0.5, 32, 2.0))
    [expected] = onnxruntime.InferenceSession(file).run(None, {'cell_image': pairs['cell_image']})
    expected[1, 20, 30, 2] += fault
    monkeypatch.setattr(network, 'probabilities', lambda *_: (expected, None))
    found = exporting.compare(model, variables, file, pairs)
    np.testing.assert_allclose(found, fault, atol=1e-5)


def test_bad_input_is_told_in_one_line(run, tmp_path):
    cases = {
        (run, tmp_path / 'nowhere' / 'network.onnx'): 'nowhere is not there; make it first',
        (tmp_path / 'no-run', tmp_path / 'network.onnx'): 'is no run',
    }
    for (workdir, file), message in cases.items():
        with pytest.raises(InputError, match=message) as caught:
            exporting.export(workdir, file)
        assert '\n' not in str(caught.value)


def test_patches_must_fit_the_networks_stride(run, tmp_path):
    with pytest.raises(InputError, match=r'cell_image of 72 x 72 px: .* multiples of 32'):
        exporting.export(run, tmp_path / 'network.onnx', Patches(72, 0.5, 64, 2.0))


@pytest.mark.parametrize('package', ['onnx', 'onnxruntime'])
def test_missing_packages_are_named(run, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=rf'needs {package}, .*pip install .*\[export\]'):
        exporting.export(run, tmp_path / 'network.onnx')
