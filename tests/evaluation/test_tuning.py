"""Tuned detection: the grid against evaluations one by one, and what becomes of the choice."""

import csv
import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
import tiny
from conftest import make_release, set_mpps
from drawn_slides import darkness
from fake_runs import make_run, small_config

from ocelot_jax.data.sources import open_source
from ocelot_jax.evaluation import scoring, tuning
from ocelot_jax.inference import engines
from ocelot_jax.io.errors import InputError
from ocelot_jax.metrics import calibration, matching
from ocelot_jax.models import factory
from ocelot_jax.runs import configuration, loading
from ocelot_jax.runs.directory import RunDirectory


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run whose network finds what is dark, on drawn pairs."""
    source = str(make_release(tmp_path / 'release', {'val': 5}))
    config = small_config(data__source=source, data__batch_size=2, data__max_cells=16)
    monkeypatch.setattr(factory, 'create_model', tiny.create_model)
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
    matched = tuning.match_cells(darkness, pairs, config)
    assert len(matched) == 4 * 4 * 9
    chosen = list(matched)[::17]
    scores = [one_by_one(config, setting) for setting in chosen]
    assert len({score['mF1'] for score in scores}) > 3
    for setting, wanted in zip(chosen, scores, strict=True):
        found = matching.f1_scores(matching.Counts(*matched[setting].counts), ('BC', 'TC'))
        assert found == {name: pytest.approx(wanted[name]) for name in found}


@pytest.mark.parametrize('backend', ['jax', 'skimage'])
def test_every_pair_is_found_by_its_own_lengths(backend, run, tmp_path):
    """Counts of pairs at several um/px are the sums of those of each alone, whichever is first."""
    config = loading.load_runs([run]).config
    config.detection.backend = backend
    config.data.source = str(make_release(tmp_path / 'mixed', {'val': 5}))
    set_mpps(tmp_path / 'mixed', {'001': 0.5, '003': 0.37, '004': 0.2, '005': 0.21})
    pairs = open_source(config.data, 'validation')
    results = list(scoring.find_pairs(darkness, pairs, config))
    wanted = [3 / mpp for mpp in (0.5, 0.2, 0.37, 0.2, 0.21)]
    assert [result.distance for result in results] == pytest.approx(wanted)
    together = scoring.count(results, 5, config)
    tuned = tuning.match_cells(darkness, pairs, config)
    alone = [
        scoring.count(scoring.find_pairs(darkness, Only(pairs, row), config), 1, config).counts[0]
        for row in range(5)
    ]
    np.testing.assert_array_equal(together.counts, alone)
    each = [tuning.match_cells(darkness, Only(pairs, row), config) for row in range(5)]
    assert tuned.keys() == each[0].keys()
    for setting, held in tuned.items():
        np.testing.assert_array_equal(held.counts, sum(one[setting].counts for one in each))


class Only:
    """One pair of a source."""

    def __init__(self, source, row):
        self._source, self._row = source, row

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self._source[range(self._row, self._row + 1)[index]]


def test_the_best_is_kept_and_used(run, caplog):
    before = loading.load_runs([run])
    tuned = tuning.tune_run(run)
    chosen = tuned.setting
    with RunDirectory(run).tuning.open(newline='') as file:
        rows = list(csv.DictReader(file))
    best = max(rows, key=lambda row: float(row['mF1']))
    assert tuple(float(best[name]) for name in chosen._fields) == chosen
    kept = json.loads(RunDirectory(run).detection.read_text())
    assert kept.pop('origin')['data']['split'] == 'validation'
    assert kept == chosen._asdict() | {'temperature': tuned.temperature}
    # of the cells that an evaluation finds with the choice
    before.config.detection.update(chosen._asdict())
    pairs = open_source(before.config.data, 'validation')
    results = list(scoring.find_pairs(darkness, pairs, before.config))
    wanted = calibration.fit_temperature(
        np.concatenate([result.found.scores for result in results]),
        np.concatenate([result.match.pred_to_true >= 0 for result in results]),
    )
    assert tuned.temperature == pytest.approx(wanted, rel=1e-5)
    after = loading.load_runs([run])
    assert after.config.detection.threshold == chosen.threshold
    assert after.settings != before.settings
    assert f'mF1 {float(best["mF1"]):.3f}' in tuned.render()
    # around the configuration's values once more, not around the choice
    assert tuning.tune_run(run) == tuned
    assert 'other weights' not in caplog.text
    held = json.loads(RunDirectory(run).detection.read_text())
    held['origin']['runs'][0]['weights'] = 'of an earlier epoch'
    RunDirectory(run).detection.write_text(json.dumps(held))
    loading.load_runs([run])
    assert 'was tuned for other weights than those of the best epoch now' in caplog.text


def test_the_configuration_is_on_the_grid(run, monkeypatch):
    config = loading.load_runs([run]).config
    config.detection.update({'sigma_um': 0.0, 'threshold': 0.73})
    pairs = open_source(config.data, 'validation')
    matched = tuning.match_cells(darkness, pairs, config)
    own = tuning.Setting(0.0, config.detection.min_distance_um, 0.73)
    assert {setting.sigma_um for setting in matched} == {0.0}
    found = matching.f1_scores(matching.Counts(*matched[own].counts), ('BC', 'TC'))
    wanted = one_by_one(config, own)
    assert found == {name: pytest.approx(wanted[name]) for name in found}


def test_where_no_cell_is_found_the_configuration_stands(run, monkeypatch):
    config = loading.load_runs([run]).config
    grid = tuning.match_cells(darkness, open_source(config.data, 'validation'), config)
    nothing = np.array([[0, 0], [0, 0], [3, 4]]), np.zeros(0, np.float32), np.zeros(0, bool)
    matched = dict.fromkeys(grid, tuning.Matched(*nothing))
    monkeypatch.setattr(tuning, 'match_cells', lambda *_: matched)
    chosen = tuning.tune_run(run).setting._asdict()
    assert chosen == {name: config.detection[name] for name in chosen}


def test_an_earlier_choice_stays_until_there_is_a_new_one(run, monkeypatch):
    chosen = {'sigma_um': 0.5, 'min_distance_um': 1.5, 'threshold': 0.3}
    configuration.write_detection(RunDirectory(run).detection, chosen)
    before = RunDirectory(run).detection.read_bytes()
    held = tuning.Matched(np.ones((3, 2), int), np.full(2, np.float32(0.5)), np.ones(2, bool))
    matched = {tuning.Setting(0.5, 1.5, 0.1): held}
    monkeypatch.setattr(tuning, 'match_cells', lambda *_: matched)
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    for module, name, error in (
        (tuning, 'open_source', InputError('the data are gone')),
        (tuning, 'match_cells', KeyboardInterrupt()),
        (tuning.files, 'write_tuning', full),
        (Path, 'write_text', full),
    ):

        def fail(*given, error=error):
            if isinstance(given[0], Path):
                given[0].write_bytes(b'{')  # half of it
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(module, name, fail)
            with pytest.raises(type(error)):
                tuning.tune_run(run)
        assert RunDirectory(run).detection.read_bytes() == before
