"""Cross-validation by slides."""

import collections
import json

import chex
import numpy as np
import pytest
from conftest import data_config, make_release
from hypothesis import given
from hypothesis import strategies as st

from ocelot_jax.data import folds, images, sources
from ocelot_jax.io.errors import InputError

# 'TCGA-A1-A0SK' has two slides
SLIDES = ('img1', 'img2', 'img3', 'img4', 'TCGA-A1-A0SK-01Z', 'TCGA-A1-A0SK-02Z')
PATIENTS = ('img1', 'img2', 'img3', 'img4', 'TCGA-A1-A0SK', 'TCGA-A1-A0SK')


@given(st.lists(st.integers(0, 5), min_size=12).filter(lambda rows: {*range(5)} <= {*rows}))
def test_slides_are_dealt(rows):
    slides, patients = (np.array(names)[rows] for names in (SLIDES, PATIENTS))
    dealt = folds.deal(slides, 3)
    assert set(dealt) == {0, 1, 2}
    # no patient is in two folds
    assert all(len(set(dealt[patients == name])) == 1 for name in set(PATIENTS))
    # the order of the pairs does not matter
    np.testing.assert_array_equal(folds.deal(slides[::-1], 3), dealt[::-1])
    # no fold could give away its last patient and still not be the smallest
    counts = collections.Counter(dealt.tolist())
    least = min(collections.Counter(patients[dealt == max(counts, key=counts.get)]).values())
    assert max(counts.values()) - least <= min(counts.values())


def test_over_all_folds_each_pair_is_tested_once_by_a_run_that_never_saw_its_slide(tmp_path):
    release = make_release(tmp_path, {'train': 7, 'val': 3, 'test': 1}, size=16)
    file = release / 'metadata.json'
    content = json.loads(file.read_text())
    for number, entry in enumerate(content['sample_pairs'].values()):
        entry['slide_name'] = f'slide{number % 5}'  # two pairs each, some of them in two splits
    file.write_text(json.dumps(content))

    config = data_config(release)
    config.folds = 4
    tested, digests = [], set()
    for config.fold in range(4):
        opened = sources.open_sources(config, sources.splits(config))
        held = {name: source.outline.pair_ids for name, source in opened.items()}
        slides = {name: {pair['slide_name'] for pair in opened[name]} for name in opened}
        assert not slides['train'] & slides['validation'] | slides['test'] & slides['train']
        assert not slides['validation'] & slides['test']
        assert all(held.values())
        assert sorted(sum(held.values(), ())) == [f'{number:03d}' for number in range(1, 11)]
        for name, source in opened.items():
            assert [pair['pair_id'] for pair in source] == list(held[name])
            assert source.outline.slides == tuple(pair['slide_name'] for pair in source)
            assert [len(p['cells']['x']) for p in source] == source.outline.cell_counts.tolist()
            digests.add(sources.identify(config, name).digest)
        tested += held['test']
    # the data set's own test pair has no part in it
    assert sorted(tested) == [f'{number:03d}' for number in range(1, 11)]
    assert len(digests) == 12


@pytest.mark.parametrize('large_fov', [True, False])
def test_the_splits_of_a_fold_are_read_through_together(large_fov, tmp_path, monkeypatch):
    config = data_config(make_release(tmp_path, {'train': 3, 'val': 2, 'test': 1}, size=16))
    config.folds, config.large_fov = 3, large_fov
    alone = {name: sources.open_source(config, name) for name in folds.SPLITS}
    decoded = []
    decode_rgb = images.decode_rgb
    monkeypatch.setattr(
        images, 'decode_rgb', lambda data, label: decoded.append(label) or decode_rgb(data, label)
    )
    together = sources.open_sources(config, ('train', 'val', 'test'))
    assert len(decoded) == len(set(decoded)) == 2 * 5
    assert list(together) == ['train', 'validation', 'test']
    for name, source in together.items():
        chex.assert_trees_all_equal([*source], [*alone[name]])


@pytest.mark.parametrize(
    ('count', 'fold', 'words'),
    [
        (2, 0, 'config.data.folds: 2; want 0, or at least 3'),
        (5, 5, 'config.data.fold: 5; want one of the 5 folds'),
        (5, -1, 'config.data.fold: -1'),
        (0, 1, 'config.data.fold: 1; want 0 where config.data.folds is 0'),
        (9, 0, 'config.data.folds: 9, but the pairs are of'),
    ],
)
def test_folds_that_cannot_be(release_folder, count, fold, words):
    config = data_config(release_folder)
    config.folds, config.fold = count, fold
    with pytest.raises(InputError, match=words):
        sources.open_source(config, 'train')
