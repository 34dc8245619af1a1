"""Runs read to be applied, one or an ensemble."""

import pytest
from fake_runs import SMALL, make_run, small_config

from ocelot_jax.data.patches import Patches
from ocelot_jax.runs import configuration, loading

RELEASE = Patches(64, 0.2, 64, 0.8)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp('runs') / 'one', small_config())


def test_an_ensemble_is_read_run_by_run(run, tmp_path):
    other = make_run(tmp_path / 'other', small_config(seed=1))
    runs = loading.load_runs([run, other], test_time_augmentation=True)
    assert runs.ensemble
    assert (len(runs.variables), runs.steps) == (2, (1, 1))
    described = runs.describe()
    assert described['runs'] == ['one', 'other']
    assert described['test_time_augmentation']
    assert len(set(described['configs'])) == 2
    assert runs.load_patches() == SMALL


def test_what_was_tuned_is_used(tmp_path):
    run = make_run(tmp_path / 'run', small_config())
    before = loading.load_runs([run])
    tuned = {'sigma_um': 0.25, 'min_distance_um': 3.5, 'threshold': 0.75}
    configuration.write_detection(run, tuned)
    after = loading.load_runs([run])
    assert {name: after.config.detection[name] for name in tuned} == tuned
    assert before.digests != after.digests


def test_runs_that_do_not_fit_together(run, tmp_path):
    other = make_run(tmp_path / 'other', small_config(data__cell_classes=('BC', 'TC', 'LC')))
    with pytest.raises(ValueError, match=r'does not fit .* config\.data\.cell_classes is'):
        loading.load_runs([run, other])
    far = make_run(tmp_path / 'far', small_config(), RELEASE)
    with pytest.raises(ValueError, match='wants runs of one kind of patches'):
        loading.load_runs([run, far]).load_patches()
