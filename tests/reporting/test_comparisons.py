"""Experiments beside each other, on the same pairs."""

import dataclasses
from pathlib import Path

import fake_reports
import numpy as np
import pytest
from conftest import make_release

from ocelot_jax.metrics.bootstrap import Difference
from ocelot_jax.reporting import comparisons
from ocelot_jax.reporting.collect import collect
from ocelot_jax.runs.files import PairRecords

QUALITIES = {
    'cell_only': 0.35, 'pred_inter2': 0.8, 'pred_input': 0.6, 'leaking': 0.9, 'mfovce': 0.2
}  # fmt: skip


def make_pairs(ids='abcd', seed=0):
    rng = np.random.default_rng(seed)
    names = np.array(list(ids))
    counts = rng.integers(0, 9, (len(names), 3, 2))
    counts[:, 2] = [[ord(name), 2] for name in names]  # a pair's own
    slides = np.array([f'slide {name in "ab"}' for name in names])
    return PairRecords(names, slides, slides, counts)


def test_counts_are_put_in_the_order_of_the_first():
    first, second = make_pairs('cabd'), make_pairs('dbca', seed=1)
    counts, slides = comparisons.same_pairs([(Path('a'), first), (Path('b'), second)])
    assert (counts[0] == first.counts).all()
    assert slides.tolist() == first.slides.tolist()
    for place, name in enumerate('cabd'):
        assert (counts[1, place] == second.counts['dbca'.index(name)]).all()


@pytest.mark.parametrize(
    ('change', 'told'),
    [
        (lambda p: make_pairs('abce'), 'b: has no pair d, which a has; want runs of one data set'),
        (lambda p: make_pairs('abc'), 'b: has no pair d, which a has'),
        (lambda p: make_pairs('abcde'), 'a: has no pair e, which b has'),
        (
            lambda p: dataclasses.replace(p, slides=p.slides[::-1]),
            'b: pair a has another slide or other true cells than in a',
        ),
        (
            lambda p: dataclasses.replace(p, counts=p.counts + 1),
            'b: pair a has another slide or other true cells than in a',
        ),
        (
            lambda p: dataclasses.replace(p, counts=p.counts[..., :1]),
            'b: has 1 cell classes, a has 2',
        ),
    ],
)
def test_other_pairs_are_told(change, told):
    first = make_pairs()
    with pytest.raises(ValueError) as error:
        comparisons.same_pairs([(Path('a'), first), (Path('b'), change(first))])
    assert str(error.value).startswith(told)


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
    assert comparisons.Comparison('a', 'b', paper, found).verdict == verdict


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
    order = comparisons.find_order(collect(root), 'pairs')
    assert (order.split, order.paper_data) == ('test', 'OCELOT')
    assert [place.name for place in order.places] == [
        'Tissue-label leaking', 'Pred-to-inter-2', 'Pred-to-input', 'Cell-only', 'MFoVCE-Net'
    ]  # fmt: skip
    assert [place.rank for place in order.places] == [1, 2, 3, 4, 5]
    # on OCELOT's test split: 74.20, 71.23, 69.65, 64.44, and 67.12 of Table C.1
    assert [place.paper_rank for place in order.places] == [1, 2, 3, 5, 4]
    assert (order.in_order, order.pairs) == (9, 10)
    assert [(c.first, c.second) for c in order.neighbours] == [
        ('Tissue-label leaking', 'Pred-to-inter-2'),
        ('Pred-to-inter-2', 'Pred-to-input'),
        ('Pred-to-input', 'MFoVCE-Net'),
        ('MFoVCE-Net', 'Cell-only'),
    ]
    assert {c.second for c in order.against_cell_only} == {'Cell-only'}
    best = order.against_cell_only[0]
    assert best.paper == pytest.approx(0.7420 - 0.6444)
    assert best.verdict == 'as in the paper'


def test_differences_are_of_repeats_together(root):
    """Of pooled cells, so near to the difference of mean scores."""
    order = comparisons.find_order(collect(root), 'pairs')
    means = {place.name: place.ours.mean for place in order.places}
    for held in (*order.against_cell_only, *order.neighbours):
        assert held.found.value == pytest.approx(means[held.first] - means[held.second], abs=0.02)
        assert held.found.low < held.found.value < held.found.high


def test_an_order_the_other_way_round_is_said_to_be(tmp_path, root):
    source = make_release(tmp_path / 'pairs', {'test': 16})
    for name, quality in {'cell_only': 0.9, 'pred_inter2': 0.4}.items():
        config = fake_reports.make_config(name, source)
        fake_reports.write_run(tmp_path / name, config, quality=quality, splits=('test',))
    order = comparisons.find_order(collect(tmp_path), 'pairs')
    assert (order.in_order, order.pairs) == (0, 1)
    assert order.neighbours[0].verdict == 'against the paper'


def test_runs_without_records_keep_their_place(tmp_path):
    source = make_release(tmp_path / 'pairs', {'validation': 2})
    for name, files in {'cell_only': True, 'pred_inter2': False, 'pred_input': True}.items():
        fake_reports.write_run(
            tmp_path / name, fake_reports.make_config(name, source), records=files
        )
    order = comparisons.find_order(collect(tmp_path), 'pairs')
    assert len(order.places) == 3
    found = {held.first: held.found for held in order.against_cell_only}
    assert found['Pred-to-inter-2'] is None
    assert found['Pred-to-input'] is not None
    [note] = order.notes
    assert note.startswith('Pred-to-inter-2 is not compared: ')
    assert note.endswith('pred_inter2/evaluation/validation/pairs.csv is not there.')


def test_what_the_tables_lack_does_not_decide_the_split(tmp_path):
    source = make_release(tmp_path / 'pairs', {'validation': 2, 'test': 2})
    for name in ('cell_only', 'pred_inter2'):
        fake_reports.write_run(tmp_path / name, fake_reports.make_config(name, source))
    ablation = fake_reports.make_config('ablation_pred_inter2_fov', source)
    fake_reports.write_run(tmp_path / 'ablation', ablation, splits=('validation', 'test'))
    order = comparisons.find_order(collect(tmp_path), 'pairs')
    assert order.split == 'validation'
    assert {place.name for place in order.places} == {'Cell-only', 'Pred-to-inter-2'}


def test_one_experiment_makes_no_order(tmp_path):
    source = make_release(tmp_path / 'pairs', {'validation': 2})
    fake_reports.write_run(tmp_path / 'a', fake_reports.make_config('cell_only', source))
    assert comparisons.find_order(collect(tmp_path), 'pairs') is None
