"""The order of experiments, and whether they differ."""

import fake_reports
import pytest
from conftest import make_release

from ocelot_jax.metrics.bootstrap import Difference
from ocelot_jax.reporting import order
from ocelot_jax.reporting.collect import collect

QUALITIES = {
    'cell_only': 0.35, 'pred_inter2': 0.8, 'pred_input': 0.6, 'leaking': 0.9, 'mfovce': 0.2
}  # fmt: skip


@pytest.mark.parametrize(
    ('paper', 'found', 'verdict'),
    [
        (0.03, Difference(0.02, 0.01, 0.03, 0.001), 'as in the paper'),
        (0.03, Difference(-0.02, -0.03, -0.01, 0.001), 'against the paper'),
        (-0.03, Difference(-0.02, -0.03, -0.01, 0.001), 'as in the paper'),
        (0.03, Difference(0.02, -0.01, 0.03, 0.3), 'cannot be told apart'),
        (0.03, None, 'not compared'),
    ],
)
def test_verdicts(paper, found, verdict):
    assert order.ExperimentDifference('a', 'b', paper, found).verdict == verdict


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('comparisons')
    source = make_release(folder / 'pairs', {'test': 16})
    for name, quality in QUALITIES.items():
        for seed in (0, 1):
            config = fake_reports.make_config(name, source, seed)
            path = folder / 'runs' / name / str(seed)
            fake_reports.write_run(path, config, quality=quality, splits=('test',))
    return folder / 'runs'


def test_the_order_found_stands_beside_the_papers(root):
    found = order.find_order(collect(root), 'pairs')
    assert (found.split, found.paper_data) == ('test', 'OCELOT')
    assert [place.name for place in found.places] == [
        'Tissue-label leaking', 'Pred-to-inter-2', 'Pred-to-input', 'Cell-only', 'MFoVCE-Net'
    ]  # fmt: skip
    assert [place.rank for place in found.places] == [1, 2, 3, 4, 5]
    # on OCELOT's test split: 74.20, 71.23, 69.65, 64.44, and 67.12 of Table C.1
    assert [place.paper_rank for place in found.places] == [1, 2, 3, 5, 4]
    assert (found.in_order, found.pairs) == (9, 10)
    assert [(c.first, c.second) for c in found.neighbours] == [
        ('Tissue-label leaking', 'Pred-to-inter-2'),
        ('Pred-to-inter-2', 'Pred-to-input'),
        ('Pred-to-input', 'MFoVCE-Net'),
        ('MFoVCE-Net', 'Cell-only'),
    ]
    assert {c.second for c in found.against_cell_only} == {'Cell-only'}
    best = found.against_cell_only[0]
    assert best.paper == pytest.approx(0.7420 - 0.6444)
    assert best.verdict == 'as in the paper'


def test_differences_are_of_repeats_together(root):
    """Of pooled cells, so near to the difference of mean scores."""
    found = order.find_order(collect(root), 'pairs')
    means = {place.name: place.ours.mean for place in found.places}
    for held in (*found.against_cell_only, *found.neighbours):
        assert held.found.value == pytest.approx(means[held.first] - means[held.second], abs=0.02)
        assert held.found.low < held.found.value < held.found.high


def test_an_order_the_other_way_round_is_said_to_be(tmp_path, root):
    source = make_release(tmp_path / 'pairs', {'test': 16})
    for name, quality in {'cell_only': 0.9, 'pred_inter2': 0.4}.items():
        config = fake_reports.make_config(name, source)
        fake_reports.write_run(tmp_path / name, config, quality=quality, splits=('test',))
    found = order.find_order(collect(tmp_path), 'pairs')
    assert (found.in_order, found.pairs) == (0, 1)
    assert found.neighbours[0].verdict == 'against the paper'


def test_runs_without_records_keep_their_place(tmp_path):
    source = make_release(tmp_path / 'pairs', {'validation': 2})
    for name, files in {'cell_only': True, 'pred_inter2': False, 'pred_input': True}.items():
        fake_reports.write_run(
            tmp_path / name, fake_reports.make_config(name, source), records=files
        )
    found = order.find_order(collect(tmp_path), 'pairs')
    assert len(found.places) == 3
    differences = {held.first: held.found for held in found.against_cell_only}
    assert differences['Pred-to-inter-2'] is None
    assert differences['Pred-to-input'] is not None
    note, caveat, few = found.notes
    assert few == '2 slides alone: the intervals are too narrow, and p is at least 0.5.'
    assert caveat.startswith('One seed alone: Cell-only; Pred-to-input. ')
    assert note.startswith('Pred-to-inter-2 is not compared: ')
    assert note.endswith('pred_inter2/evaluation/validation/pairs.csv is not there.')


def test_what_the_tables_lack_does_not_decide_the_split(tmp_path):
    source = make_release(tmp_path / 'pairs', {'validation': 2, 'test': 2})
    for name in ('cell_only', 'pred_inter2'):
        fake_reports.write_run(tmp_path / name, fake_reports.make_config(name, source))
    ablation = fake_reports.make_config('ablation_pred_inter2_fov', source)
    fake_reports.write_run(tmp_path / 'ablation', ablation, splits=('validation', 'test'))
    found = order.find_order(collect(tmp_path), 'pairs')
    assert found.split == 'validation'
    assert {place.name for place in found.places} == {'Cell-only', 'Pred-to-inter-2'}


def test_one_experiment_makes_no_order(tmp_path):
    source = make_release(tmp_path / 'pairs', {'validation': 2})
    fake_reports.write_run(tmp_path / 'a', fake_reports.make_config('cell_only', source))
    assert order.find_order(collect(tmp_path), 'pairs') is None
