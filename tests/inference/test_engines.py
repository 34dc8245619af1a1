"""Other programs compute what JAX does, whatever the network."""

import functools
import json
import pathlib
import sys

import jax
import numpy as np
import onnx
import pytest
from conftest import make_release
from fake_runs import make_run
from flax import traverse_util
from random_networks import (
    KINDS,
    SIZE,
    add_encoders,
    create_config,
    random_batch,
    random_variables,
)
from stub_models import ONE, RampModel, make_batch, share_tissue

from ocelot_jax.data import augmentation
from ocelot_jax.data.batches import eval_batches
from ocelot_jax.data.sources import open_source
from ocelot_jax.evaluation import evaluator
from ocelot_jax.inference import engines, symmetries
from ocelot_jax.inference.detector import Detector
from ocelot_jax.inference.engine import Maps
from ocelot_jax.inference.engines import exported, network, onnxruntime, openvino
from ocelot_jax.interop.onnx_graph import alignment as onnx_alignment
from ocelot_jax.interop.onnx_graph import to_onnx
from ocelot_jax.interop.onnx_graph.graph import Graph
from ocelot_jax.models import alignment, factory
from ocelot_jax.prediction import to_files
from ocelot_jax.prediction.options import Options
from ocelot_jax.runs import loading

OPEN = {'onnxruntime': onnxruntime.open_graph, 'openvino': openvino.open_graph}


@pytest.fixture(scope='module', autouse=True)
def encoders():
    with pytest.MonkeyPatch.context() as monkeypatch:
        add_encoders(monkeypatch)
        yield


class Reference:
    """A network, a batch, and what JAX computes from it."""

    def __init__(self, kind):
        self.kind = kind
        self.config = create_config(kind)
        self.model = factory.create_model(self.config)
        self.variables = random_variables(self.model)
        self.batch = random_batch()
        compute = jax.jit(functools.partial(network.probabilities, self.model))
        self.compute = compute.lower(self.variables, self.batch).compile()
        self.probabilities = self.compute(self.variables, self.batch)

    def graph(self):
        return to_onnx(self.model, self.variables, (SIZE, SIZE), (SIZE, SIZE))


@pytest.fixture(scope='module', params=KINDS)
def reference(request):
    return Reference(request.param)


@pytest.fixture(scope='module')
def pred_to_inter2():
    return Reference('pred-to-inter-2')


def assert_close(found, expected, tolerance=1e-4):
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert one.dtype == np.float32
            np.testing.assert_allclose(one, other, rtol=0, atol=tolerance)


def test_graphs_are_valid(reference):
    onnx.checker.check_model(reference.graph(), full_check=True)


def test_engines_compute_what_jax_does(reference):
    batch, expected = reference.batch, reference.probabilities
    cell = np.asarray(expected[0])
    assert (cell * (1 - cell)).mean() > 0.02  # else rounding would hide differences
    for program in OPEN:
        engine = engines.create(program, reference.model, [reference.variables])
        assert_close(engine(batch), expected)
        if KINDS[reference.kind].get('context') != 'none' or 'mfovce' in reference.kind:
            # what is compared depends on places by more than it may differ
            moved = {**batch, 'center': batch['center'] + np.float32(0.02)}
            assert np.abs(engine(moved)[0] - cell).max((1, 2, 3)).min() > 1e-3
        last = {name: field[2:] for name, field in batch.items()}
        assert_close(engine(last), [x if x is None else x[2:] for x in expected])
        # all three cell patches lie in the same tissue patch
        shared = {**batch, 'tissue_image': batch['tissue_image'][:1]}
        tissue = expected[1] if expected[1] is None else expected[1].mean(0, keepdims=True)
        assert_close(engine(shared), (expected[0], tissue))


def test_kernels_transformed_once_give_the_same_bits(reference):
    made = jax.jit(functools.partial(network.transformed_kernels, reference.model))(
        reference.variables, reference.batch
    )
    params = traverse_util.flatten_dict(reference.variables['params'])
    transformed = traverse_util.flatten_dict(made['transformed'])
    assert transformed
    for path, kernel in transformed.items():
        assert kernel.shape[1:] == params[path].shape[2:]
        params[path] = np.full_like(params[path], np.nan)  # not needed any more
    variables = {**reference.variables, 'params': traverse_util.unflatten_dict(params), **made}
    compute = jax.jit(functools.partial(network.probabilities, reference.model))
    found = compute(variables, reference.batch)
    jax.tree.map(np.testing.assert_array_equal, found, reference.probabilities)
    # of other batches the maps may want other tiles
    last = {name: field[2:] for name, field in reference.batch.items()}
    expected = jax.tree.map(lambda maps: maps[2:], reference.probabilities)
    assert_close(compute(variables, last), expected)


def test_networks_of_bfloat16_have_no_kernels_to_transform(pred_to_inter2):
    model = pred_to_inter2.model.clone(dtype='bfloat16')
    make = functools.partial(network.transformed_kernels, model)
    assert not jax.eval_shape(make, pred_to_inter2.variables, pred_to_inter2.batch)


def test_the_compiled_network_transforms_its_kernels_and_computes_the_same(
    pred_to_inter2, monkeypatch
):
    """Of a second batch, too, for which the transformed kernels are there."""
    transform, made = network.transformed_kernels, []
    monkeypatch.setattr(
        network, 'transformed_kernels', lambda *a: made.append(transform(*a)) or made[-1]
    )
    engine = engines.create('xla', pred_to_inter2.model, [pred_to_inter2.variables])
    for batch in (random_batch(3), random_batch(3, seed=1)):
        expected = pred_to_inter2.compute(pred_to_inter2.variables, batch)
        assert_close(engine(batch), expected, 1e-5)
    assert len(made) == 1
    assert made[0]['transformed']


@pytest.mark.parametrize('remat', [False, True])
def test_kernels_are_those_of_rematerialised_networks_too(pred_to_inter2, remat):
    model = pred_to_inter2.model.clone(remat=remat)
    make = functools.partial(network.transformed_kernels, model)
    made = jax.eval_shape(make, pred_to_inter2.variables, pred_to_inter2.batch)
    # of each branch's four blocks both convolutions, but for the two that halve the map
    assert len(jax.tree.leaves(made)) == 2 * (4 * 2 - 2)


def test_bfloat16_is_near(pred_to_inter2):
    engine = engines.create('openvino-bf16', pred_to_inter2.model, [pred_to_inter2.variables])
    for found, expected in zip(
        engine(pred_to_inter2.batch), pred_to_inter2.probabilities, strict=True
    ):
        assert np.abs(found - np.asarray(expected)).mean() < 0.02


@pytest.mark.parametrize(('old', 'new'), [(32, 20), (32, 64), (40, 8)])
@pytest.mark.parametrize('way', ['crop_upsample', 'downsample_pad'])
def test_maps_are_moved_as_in_jax(way, old, new):
    rng = np.random.default_rng(old)
    center = np.float32([[0.37, 0.61], [0.05, 0.9], [0.5, 0.5]])  # the second reaches beyond
    ratio = np.float32([0.25, 0.3, 1.0])
    features = rng.random((3, 5, old, old - 4), np.float32)
    sessions = moving_graph(way, features.shape, (new, new + 3))
    move = jax.jit(getattr(alignment, way), static_argnums=3)
    expected = move(np.moveaxis(features, 1, -1), center, ratio, (new, new + 3))
    for session in sessions:
        [moved] = session.run({'features': features, 'center': center, 'ratio': ratio})
        np.testing.assert_allclose(np.moveaxis(moved, 1, -1), expected, atol=2e-5)


def test_what_a_program_gave_stays_when_it_runs_again():
    features = np.random.default_rng(0).random((3, 2, 8, 8), np.float32)
    arrays = {'features': features, 'center': np.full((3, 2), 0.5, np.float32)}
    arrays |= {'ratio': np.ones(3, np.float32)}
    for session in moving_graph('crop_upsample', features.shape, (8, 8)):
        [first] = session.run(arrays)
        for count in (2, 3):
            others = {name: array[:count] for name, array in arrays.items()}
            [again] = session.run(others | {'features': -features[:count]})
            np.testing.assert_allclose(again, -features[:count], atol=1e-6)
        np.testing.assert_allclose(first, features, atol=1e-6)


def test_rows_that_openvino_does_not_write_are_no_maps():
    graph = Graph()
    few = graph.input('few', np.float32, ('batch', 4))
    many = graph.input('many', np.float32, ('rows', 4))
    # of as many rows as `few` has, whatever is stated
    graph.output(graph.add('Add', few, few), 'sum', ('rows', 4))
    graph.output(graph.add('Add', many, many), 'other', ('rows', 4))
    session = exported.start(graph.to_model({}), openvino.open_graph)
    ones = np.ones((5, 4), np.float32)
    np.testing.assert_array_equal(session.run({'few': ones, 'many': ones})[0], 2 * ones)
    with pytest.raises(ValueError, match=r'output 0: \(3, 4\), want \(5, 4\)'):
        session.run({'few': ones[:3], 'many': ones})


def test_bfloat16_keeps_places():
    """Single pixels among a thousand are found where they are."""
    features = np.zeros((1, 1, 1024, 1024), np.float32)
    features[..., 600:760:4, :] = 1
    center, ratio = np.float32([[0.5, 0.6612]]), np.float32([0.25])
    graph = moving_graph('crop_upsample', features.shape, (256, 256), opened=False)
    session = exported.start(graph, functools.partial(openvino.open_graph, precision='bf16'))
    [moved] = session.run({'features': features, 'center': center, 'ratio': ratio})
    move = jax.jit(alignment.crop_upsample, static_argnums=3)
    expected = move(np.moveaxis(features, 1, -1), center, ratio, (256, 256))
    assert np.asarray(expected).std() > 0.1
    np.testing.assert_allclose(np.moveaxis(moved, 1, -1), expected, atol=0.01)


def moving_graph(way, shape, size, opened=True):
    """A graph that moves a map [B,C,h,w] to `size`, opened by each program or not."""
    graph = Graph()
    features = graph.input('features', np.float32, ('batch', *shape[1:]))
    features = graph.add('Identity', features, size=shape[2:])
    center = graph.input('center', np.float32, ('batch', 2))
    place = onnx_alignment.Place.of(center, graph.input('ratio', np.float32, ('batch',)))
    moved = getattr(onnx_alignment, way)(features, place, size)
    graph.output(moved, 'moved', ('batch', shape[1], *size))
    model = graph.to_model({})
    return [exported.start(model, program) for program in OPEN.values()] if opened else model


class Stand(RampModel):
    """Stands for a network that another program runs."""

    def __init__(self, model, variables, open_graph):
        self.variables = variables

    def __call__(self, batch):
        outputs = self.apply(self.variables, augmentation.model_inputs(batch), train=False)
        return Maps(*(np.asarray(jax.nn.softmax(x)) for x in outputs.values()))


def test_several_networks_give_the_mean_and_symmetries_wrap_them(monkeypatch):
    monkeypatch.setattr(exported, 'Exported', Stand)
    batch, members = make_batch(), [{'weight': np.float32(w)} for w in (1.0, -0.5)]
    each = [Stand(None, member, None)(batch) for member in members]
    engine = engines.create('openvino', RampModel(), members)
    assert_close(engine(batch), [(one + other) / 2 for one, other in zip(*each, strict=True)])
    symmetric = engines.create('openvino', RampModel(), members, test_time_augmentation=True)
    assert_close(symmetric(batch), symmetries.average(engine)(batch), 1e-6)
    assert np.abs(symmetric(batch).cell - engine(batch).cell).max() > 0.01


@pytest.mark.parametrize('symmetric', [False, True])
def test_an_engine_of_runs_is_the_mean_of_them_all_as_the_configuration_wants(
    symmetric, monkeypatch
):
    monkeypatch.setattr(factory, 'create_model', lambda config: RampModel())
    config = create_config('pred-to-inter-2')
    config.test_time_augmentation = symmetric
    members = tuple({'weight': np.float32(w)} for w in (1.0, -0.5, 0.25))
    paths = tuple(map(pathlib.Path, 'abc'))
    runs = loading.LoadedRuns(paths, config, members, (1, 1, 1), ('', '', ''))
    each = [network.prepare(RampModel())(member) for member in members]
    if symmetric:
        each = list(map(symmetries.average, each))
    batch = make_batch()
    wanted = [np.mean(maps, 0) for maps in zip(*(engine(batch) for engine in each), strict=True)]
    assert_close(engines.of_runs(runs)(batch), wanted, 1e-5)


def test_the_network_shares_a_tissue_patch_as_one_of_each():
    engine = engines.create('xla', RampModel(), [ONE])
    shared, apart = share_tissue(make_batch())
    found, expected = engine(shared), engine(apart)
    assert found.tissue.shape[0] == 2
    np.testing.assert_allclose(found.cell, expected.cell, atol=1e-6)
    np.testing.assert_allclose(np.repeat(found.tissue, 2, 0), expected.tissue, atol=1e-6)


def test_runs_are_evaluated_by_engines(pred_to_inter2, tmp_path):
    """What is written are the cells that JAX's probabilities hold."""
    config = create_config(
        'pred-to-inter-2',
        data__source=str(make_release(tmp_path / 'data', {'test': 3})),
        data__batch_size=3,
        detection__threshold=0.5,
    )
    run = make_run(tmp_path / 'run', config, variables=pred_to_inter2.variables)
    report = evaluator.evaluate_run([run], engine='onnxruntime')
    folder = run / 'evaluation/test-onnxruntime'
    assert 'mF1' in json.loads((folder / 'scores.json').read_text())['population']
    assert str(folder) in report.render()
    found = json.loads((folder / 'predictions.json').read_text())['points']

    pairs = open_source(config.data, 'test')
    [batch] = eval_batches(pairs, batch_size=3, max_cells=16)
    batch = {name: batch[name] for name in pred_to_inter2.batch}
    cells = Detector(config.detection)(
        pred_to_inter2.compute(pred_to_inter2.variables, batch)[0], batch['cell_mpp']
    )
    expected = [
        [*map(int, cells.points[row, i]), int(cells.labels[row, i])]
        for row in range(3)
        for i in range(int(cells.count[row]))
    ]
    assert len(expected) > 10
    assert sorted(point['point'] for point in found) == sorted(expected)


@pytest.mark.parametrize('engine', ['xla', 'openvino'])
def test_trained_runs_make_engines_of_float32_on_cpus(pred_to_inter2, tmp_path, engine):
    config = pred_to_inter2.config.copy_and_resolve_references()
    config.model.dtype = 'bfloat16'
    run = make_run(tmp_path / 'run', config, variables=pred_to_inter2.variables)
    compute = engines.of_runs(loading.load_runs([run]), engine)
    assert_close(compute(pred_to_inter2.batch), pred_to_inter2.probabilities)


def test_predictions_by_an_engine(pred_to_inter2, tmp_path):
    run = make_run(tmp_path / 'run', pred_to_inter2.config, variables=pred_to_inter2.variables)
    release = make_release(tmp_path / 'release', {'val': 2})
    found = []
    for engine in ('xla', 'onnxruntime'):
        options = Options(engine=engine)
        to_files.predict_input([run], release, tmp_path / engine, options)
        file = tmp_path / engine / 'validation/predictions.json'
        points = json.loads(file.read_text())['points']
        found.append([(cell['name'], cell['point']) for cell in points])
    assert found[0] == found[1]
    assert len(found[0]) > 4


def test_unknown_engines_are_refused():
    with pytest.raises(ValueError, match="--engine: 'tvm'; want one of xla, onnxruntime, openv"):
        engines.create('tvm', RampModel(), [ONE])


@pytest.mark.parametrize(
    ('name', 'package'), [('openvino-bf16', 'openvino'), ('openvino', 'onnx')]
)
def test_missing_programs_are_named(monkeypatch, name, package):
    monkeypatch.setitem(sys.modules, package, None)
    wanted = rf"--engine={name}: needs {package}, .*pip install 'ocelot_jax\[export\]'"
    with pytest.raises(ValueError, match=wanted):
        engines.create(name, RampModel(), [ONE])
