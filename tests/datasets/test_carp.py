"""The CARP builder on drawn PD-L1 pairs, put where an owner of such data puts them."""

import shutil

import ihc
import numpy as np
import pytest
import tensorflow_datasets as tfds
from ocelot_jax.datasets.carp.carp_dataset_builder_test import CarpTest as CarpTest
from ocelot_jax.datasets.ocelot_synthetic import tissue
from skimage import color

from ocelot_jax.data import pair_folder, preparation, sources
from ocelot_jax.io.errors import InputError, MissingFileError

CLASSES = ('TC-', 'TC+')
GEOMETRY = tissue.Geometry(size=128, cell_mpp=0.5)
COUNTS = {'train': 3, 'val': 2, 'test': 1}


@pytest.fixture(scope='module')
def carp(tmp_path_factory):
    """Drawn pairs and the folder in which they are prepared."""
    path = tmp_path_factory.mktemp('carp')
    release = ihc.write_release(path / 'manual/carp', COUNTS, GEOMETRY)
    return release, preparation.prepare('carp', path / 'data', path / 'manual')


@pytest.fixture(scope='module')
def builder(carp):
    return tfds.builder_from_directory(carp[1])


def test_same_records_as_the_folder(carp, builder):
    folder = pair_folder.PairFolder(carp[0], CLASSES)
    assert folder.splits == {'train': 3, 'validation': 2, 'test': 1}
    for split in folder.splits:
        wanted = {record['pair_id']: record for record in folder.as_data_source(split)}
        # a builder of its own: reading at random turns another one's format over
        loaded = list(tfds.as_numpy(tfds.builder_from_directory(carp[1]).as_dataset(split)))
        source = list(sources.TfdsSource(builder, split))
        assert len(wanted) == len(loaded) == len(source)
        for one, other in zip(source, loaded, strict=True):
            np.testing.assert_equal(one, wanted[one['pair_id']])
            assert other['pair_id'].decode() == one['pair_id']
            np.testing.assert_array_equal(other['cells']['label'], one['cells']['label'])


def test_class_names_follow_the_labels(builder):
    assert builder.info.features['cells']['label'].names == ['no cell', *CLASSES]


def test_label_2_is_positive(builder):
    """Around positive cells there is more brown (DAB) than around negative ones."""
    brown = {1: [], 2: []}
    for record in sources.TfdsSource(builder, 'train'):
        dab = color.rgb2hed(record['cell_image'])[..., 2]
        for x, y, label in zip(*record['cells'].values(), strict=True):
            rows, columns = (slice(max(int(v) - 10, 0), int(v) + 11) for v in (y, x))
            brown[label].append(dab[rows, columns].mean())
    assert min(map(len, brown.values())) > 5
    assert np.median(brown[2]) > 3 * np.median(brown[1])


def test_builds_from_a_zip(carp, tmp_path):
    (tmp_path / 'manual').mkdir()
    shutil.make_archive(tmp_path / 'manual/carp', 'zip', carp[0].parent, 'carp')
    directory = preparation.prepare('carp', tmp_path / 'data', tmp_path / 'manual')
    counts = tfds.builder_from_directory(directory).info.splits
    assert {name: split.num_examples for name, split in counts.items()} == {
        'train': 3, 'validation': 2, 'test': 1,
    }  # fmt: skip


def test_bad_label_is_told_before_anything_is_written(carp, tmp_path):
    release = shutil.copytree(carp[0], tmp_path / 'manual/carp')
    (release / 'annotations/val/cell/004.csv').write_text('1,2,3\n')
    wanted = f'{release}/annotations/val/cell/004.csv: line 1: label is 3; want one of 1..2'
    with pytest.raises(InputError, match=wanted):
        preparation.prepare('carp', tmp_path / 'data', tmp_path / 'manual')
    assert not list((tmp_path / 'data').rglob('*record*'))


@pytest.mark.parametrize('held', [None, 'ocelot2023_v1.0.1.zip'])
def test_missing_data_are_told_in_one_line(held, tmp_path):
    (tmp_path / 'manual').mkdir()
    if held:
        (tmp_path / 'manual' / held).write_text('')
    with pytest.raises(MissingFileError) as error:
        preparation.prepare('carp', tmp_path / 'data', tmp_path / 'manual')
    text = str(error.value)
    assert '\n' not in text
    for fragment in (str(tmp_path / 'manual'), 'internal to their owners', 'carp.zip', 'OCELOT'):
        assert fragment in text
