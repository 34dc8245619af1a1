"""The Python API of the package."""

import subprocess
import sys

import numpy as np
import pytest
from conftest import make_release

import ocelot_jax

COUNT = """
import sys
import ocelot_jax
print(sorted({name.partition('.')[0] for name in sys.modules} & {'jax', 'numpy', 'absl'}))
ocelot_jax.PairFolder
print('jax' in sys.modules)
"""


@pytest.mark.parametrize('name', ocelot_jax.__all__)
def test_every_name_is_there_and_told_of(name):
    assert getattr(ocelot_jax, name).__doc__
    assert f'`{name}' in ocelot_jax.__doc__
    assert name in dir(ocelot_jax)


def test_what_is_not_used_is_not_loaded():
    done = subprocess.run(
        [sys.executable, '-c', COUNT], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ['[]', 'False']


def test_another_name_is_no_attribute():
    with pytest.raises(AttributeError, match='nope'):
        _ = ocelot_jax.nope


def test_pairs_and_a_score_without_a_run(tmp_path):
    release = make_release(tmp_path / 'data')
    pairs = ocelot_jax.open_pairs(release, 'val')
    assert [pair['pair_id'] for pair in pairs] == ['003', '004']
    held = pairs[0]['cells']
    points = np.stack([held['x'], held['y']], axis=-1)
    true = ocelot_jax.Cells.annotated(points, held['label'])
    # 15 px of 0.2 um are 3 um: the first is found there, and 16 px off no more
    found = ocelot_jax.Cells.annotated(points[:1] + np.float32([15, 0]), held['label'][:1])
    missed = ocelot_jax.Cells.annotated(points[:1] + np.float32([16, 0]), held['label'][:1])
    alone = true[:1]
    name = ('BC', 'TC')[alone.labels[0] - 1]
    for one, recall in ((found, 1.0), (missed, 0.0)):
        scores = ocelot_jax.score_cells([one], [alone], mpp=0.2, class_names=('BC', 'TC'))
        assert scores[f'Rec/{name}'] == pytest.approx(recall, abs=1e-6)
    with pytest.raises(ValueError):
        ocelot_jax.score_cells([found], [alone, alone], mpp=0.2, class_names=('BC', 'TC'))
