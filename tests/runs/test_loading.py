"""Runs read to be applied, one or an ensemble."""

import fnmatch
import re
import shutil
from pathlib import Path

import drawn_looks
import jax
import numpy as np
import pytest
from conftest import ROOT
from fake_runs import SMALL, make_run, small_config

from ocelot_jax.data.patches import Patches
from ocelot_jax.io.errors import InputError
from ocelot_jax.models import factory
from ocelot_jax.runs import configuration, loading
from ocelot_jax.runs.directory import RunDirectory

RELEASE = Patches(64, 0.2, 64, 0.8)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp('runs') / 'one', small_config())


def ones(config):
    return jax.tree.map(np.ones_like, factory.empty_variables(factory.create_model(config)))


def test_an_ensemble_is_read_run_by_run(run, tmp_path):
    config = small_config(seed=1)
    other = make_run(tmp_path / 'other', config, variables=ones(config))
    runs = loading.load_runs([run, other], test_time_augmentation=True)
    assert runs.ensemble
    assert (len(runs.variables), runs.steps) == (2, (1, 1))
    assert runs.describe() == {'runs': ['one', 'other'], 'steps': [1, 1]}
    assert runs.identity()['test_time_augmentation']
    assert len(set(runs.identity()['weights'])) == 2
    assert runs.load_patches() == SMALL


def test_runs_of_one_name_are_told_apart_by_the_folders_above(run, tmp_path):
    folds = [
        make_run(tmp_path / f'fold{k}/seed0', small_config(), patches=p)
        for k, p in enumerate([RELEASE, SMALL])
    ]
    runs = loading.load_runs(folds)
    assert runs.names == ('fold0/seed0', 'fold1/seed0')
    [doubt] = runs.doubts_of_pairs([0.5], [2.0])
    assert doubt.startswith('fold0/seed0: the cell patches have 0.5 um/px, but')
    assert '; the tissue patches have 2 um/px, but the run was trained at 0.8; expect' in doubt
    configuration.write_appearance(folds[0], drawn_looks.learn(12, 2))
    configuration.write_appearance(folds[1], drawn_looks.learn(12, 2))
    assert list(runs.load_appearances()) == ['fold0/seed0', 'fold1/seed0']


def test_what_was_tuned_is_used(tmp_path):
    run = make_run(tmp_path / 'run', small_config())
    before = loading.load_runs([run])
    tuned = {'sigma_um': 0.25, 'min_distance_um': 3.5, 'threshold': 0.75}
    configuration.write_detection(RunDirectory(run).detection, tuned)
    after = loading.load_runs([run])
    assert {name: after.config.detection[name] for name in tuned} == tuned
    assert before.identity()['weights'] == after.identity()['weights']
    assert before.identity()['settings'] != after.identity()['settings']


def test_a_run_is_known_by_what_it_predicts(tmp_path):
    """Not by its name and place, nor by what it was trained with; but by its weights."""
    known = loading.load_runs([make_run(tmp_path / 'a', small_config())])
    moved = make_run(tmp_path / 'elsewhere/b', small_config(data__source='moved.zip'))
    again = make_run(tmp_path / 'c', small_config(), variables=ones(small_config()))
    assert loading.load_runs([moved]).identity() == known.identity()
    assert loading.load_runs([again]).identity() != known.identity()
    other = small_config(model__cell_dropout=0.3, model__pretrained='of_other_tissue.pth')
    otherwise = make_run(tmp_path / 'd', other)
    assert loading.load_runs([otherwise]).identity() == known.identity()
    assert loading.load_runs([moved, otherwise]).ensemble


def test_a_copy_for_use_elsewhere_has_all_that_is_read(tmp_path):
    run = make_run(tmp_path / 'run', small_config())
    configuration.write_detection(
        RunDirectory(run).detection, {'sigma_um': 0.25, 'min_distance_um': 3, 'threshold': 0.7}
    )
    configuration.write_appearance(run, drawn_looks.learn(12, 2))
    copy = tmp_path / 'elsewhere/run'
    copy.mkdir(parents=True)
    for path in RunDirectory(run).deployed:
        (shutil.copytree if path.is_dir() else shutil.copy)(path, copy / path.name)
    here, there = loading.load_runs([run]), loading.load_runs([copy])
    assert there.describe() == here.describe()
    assert there.identity() == here.identity()
    assert there.load_patches() == here.load_patches()
    assert there.load_appearances()['run'].limits == here.load_appearances()['run'].limits


def test_the_container_holds_that_copy():
    """And one of a run that nobody tuned can be built, too."""
    text = (ROOT / 'docker/Dockerfile').read_text()
    copied = re.findall(r'\$\{RUN\}/(\S+)', text)
    for path in RunDirectory(Path('run')).deployed:
        assert any(fnmatch.fnmatch(path.name, pattern) for pattern in copied), path.name
    assert 'detection.json' not in copied  # a file that is not there would end the build


def test_fields_that_a_configuration_lacks_are_named(run, tmp_path):
    damaged = shutil.copytree(run, tmp_path / 'run')
    path = RunDirectory(damaged).config
    text = path.read_text().replace('"cell_classes"', '"cells"').replace('"model"', '"modal"')
    path.write_text(text)
    why = r'run/config\.json: lacks config\.data\.cell_classes, config\.model; want'
    with pytest.raises(InputError, match=why):
        loading.load_runs([damaged])


def test_runs_that_do_not_fit_together(run, tmp_path):
    other = make_run(tmp_path / 'other', small_config(data__cell_classes=('BC', 'TC', 'LC')))
    with pytest.raises(ValueError, match=r'does not fit .* config\.data\.cell_classes is'):
        loading.load_runs([run, other])
    far = make_run(tmp_path / 'far', small_config(), RELEASE)
    [doubt] = loading.load_runs([run, far]).doubts_of_pairs([0.5, 0.45], [])
    assert doubt.startswith('far: the cell patches have 0.45 to 0.5 um/px, but the run was train')
    with pytest.raises(ValueError, match='wants runs of one kind of patches'):
        loading.load_runs([run, far]).load_patches()


@pytest.mark.parametrize('untrained_first', [False, True])
def test_tissue_maps_that_mean_nothing_are_averaged_with_no_others(run, tmp_path, untrained_first):
    untrained = make_run(tmp_path / 'untrained', small_config(tissue_loss_weight=0.0))
    pair = [untrained, run] if untrained_first else [run, untrained]
    weights = '1.0 there and 0.0' if untrained_first else '0.0 there and 1.0'
    with pytest.raises(
        InputError, match=rf'ensemble: config\.tissue_loss_weight is {weights} here'
    ):
        loading.load_runs(pair)
    assert loading.load_runs([untrained]).steps == (1,)


def test_how_a_run_was_trained_is_no_matter(run, tmp_path):
    twice = make_run(tmp_path / 'twice', small_config(tissue_loss_weight=2.0))
    assert len(set(loading.load_runs([run, twice]).settings)) == 1
    remat = make_run(tmp_path / 'remat', small_config(model__remat=True))
    assert loading.load_runs([run, remat]).ensemble
    blind = [
        make_run(tmp_path / f'{w}', small_config(model__context='none', tissue_loss_weight=w))
        for w in (0.0, 1.0)
    ]
    assert loading.load_runs(blind).ensemble
