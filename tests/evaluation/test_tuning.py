"""Tuned detection: the grid against evaluations one by one, and what becomes of the choice."""

import csv
import json

import numpy as np
import pytest
from conftest import make_release
from drawn_slides import darkness
from fake_runs import make_run, small_config

from ocelot_jax.data.sources import open_source
from ocelot_jax.evaluation import scoring, tuning
from ocelot_jax.inference import engines
from ocelot_jax.metrics import matching
from ocelot_jax.runs import loading
from ocelot_jax.runs.directory import RunDirectory


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run whose network finds what is dark, on drawn pairs."""
    source = str(make_release(tmp_path / 'release', {'val': 5}))
    config = small_config(data__source=source, data__batch_size=2, data__max_cells=16)
    monkeypatch.setattr(engines, 'of_runs', lambda runs: darkness)
    return make_run(tmp_path / 'run', config)


def one_by_one(config, setting):
    """Scores of the validation split at one setting, by evaluation itself."""
    config = config.copy_and_resolve_references()
    config.detection.update(setting._asdict())
    pairs = open_source(config.data, 'validation')
    return scoring.score_pairs(darkness, pairs, config)


def test_every_point_of_the_grid_scores_as_an_evaluation_does(run):
    config = loading.load_runs([run]).config
    pairs = open_source(config.data, 'validation')
    counts = tuning.count_matches(darkness, pairs, config)
    assert len(counts) == 4 * 4 * 9
    chosen = list(counts)[::17]
    scores = [one_by_one(config, setting) for setting in chosen]
    assert len({score['mF1'] for score in scores}) > 3
    for setting, wanted in zip(chosen, scores, strict=True):
        found = matching.f1_scores(matching.Counts(*counts[setting]), ('BC', 'TC'))
        assert found == {name: pytest.approx(wanted[name]) for name in found}


def test_the_best_is_kept_and_used(run):
    before = loading.load_runs([run])
    tuned = tuning.tune_run(run)
    chosen = tuned.setting
    with RunDirectory(run).tuning.open(newline='') as file:
        rows = list(csv.DictReader(file))
    best = max(rows, key=lambda row: float(row['mF1']))
    assert tuple(float(best[name]) for name in chosen._fields) == chosen
    assert json.loads(RunDirectory(run).detection.read_text()) == chosen._asdict()
    after = loading.load_runs([run])
    assert after.config.detection.threshold == chosen.threshold
    assert after.settings != before.settings
    assert f'mF1 {float(best["mF1"]):.3f}' in tuned.render()
    # around the configuration's values once more, not around the choice
    assert tuning.tune_run(run) == tuned


def test_heights_are_those_of_the_peak_map():
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(3), (2, 16, 16)).astype(np.float32)
    settings = {'sigma': 0.0, 'min_distance': 2, 'threshold': 0.2, 'max_cells': 64}
    cells, heights = tuning.find_candidates(probs, **settings)
    for row in range(2):
        count = int(cells.count[row])
        x, y = np.asarray(cells.points[row, :count], int).T
        np.testing.assert_allclose(heights[row, :count], 1 - probs[row, y, x, 0], rtol=1e-6)
        assert not np.asarray(heights[row, count:]).any()
