"""What is odd about pairs is found, named, and told from what is meant."""

import csv

import numpy as np
import pytest

from ocelot_jax.dataset_statistics import checks as statistics_checks
from ocelot_jax.dataset_statistics.counts import PairCounts

SPLITS = 'slides in more than one split'
PATIENTS = 'slides of one patient in more than one split'
UNNAMED = 'pairs without a slide name'
CELLS_ACROSS = 'same cell patches in more than one split'
TISSUE_ACROSS = 'same tissue patches in more than one split'
PAIRS_WITHIN = 'same pairs twice in a split'
CELLS_WITHIN = 'same cell patches twice in a split'
TISSUE_WITHIN = 'same tissue patches twice in a split'
OTHER_CELLS = 'same cell patches with other cells'
OTHER_MASKS = 'same tissue patches with other masks'
BLANK = 'patches of one color'
OUTSIDE = 'cells outside of their patch'
OVERHANG = 'cell patches that reach out of the tissue'
UNKNOWN = 'cells on unknown tissue'
EMPTY = 'pairs without cells'
SIZES = 'patches of several sizes'


def pair(number, split='train', **changes):
    return PairCounts(
        **{
            'pair_id': f'{number:03d}',
            'split': split,
            'slide_name': f'slide-{number}',
            'organ': 'kidney',
            'cells': np.array([[1, 2, 0], [3, 4, 0]]),
            'pixels': np.array([5, 6, 7]),
            'cell_size': (8, 8),
            'tissue_size': (8, 8),
            'cell_mpp': 0.2,
            'tissue_mpp': 0.8,
            'outside': 0,
            'overhang': 1.0,
            'cell_digest': f'cell {number}'.encode(),
            'tissue_digest': f'tissue {number}'.encode(),
            'cells_digest': b'cells',
            'mask_digest': b'mask',
        }
        | changes
    )


def found(*pairs):
    return {each.title: tuple(each.found) for each in statistics_checks.check(pairs) if each.found}


def test_nothing_is_found_where_nothing_is_odd():
    assert found(pair(1), pair(2), pair(3, 'test'), pair(4, 'test', slide_name='slide-3')) == {}


@pytest.mark.parametrize(
    ('changes', 'title', 'phrase'),
    [
        ({'slide_name': 'slide-2'}, SPLITS, "slide 'slide-2': train/002, test/009"),
        ({'slide_name': ''}, UNNAMED, 'test/009'),
        ({'cell_digest': b'cell 2'}, CELLS_ACROSS, 'train/002 = test/009'),
        ({'tissue_digest': b'tissue 2'}, TISSUE_ACROSS, 'train/002 = test/009'),
        ({'cell_digest': b'cell 3'}, CELLS_WITHIN, 'test/003 = test/009'),
        ({'tissue_digest': b'tissue 3'}, TISSUE_WITHIN, 'test/003 = test/009'),
        ({'cell_digest': None}, BLANK, 'test/009'),
        ({'tissue_digest': None}, BLANK, 'test/009'),
        ({'outside': 3}, OUTSIDE, 'test/009: 3'),
        ({'overhang': 1.26}, OVERHANG, 'test/009: by 1.3 px'),
        ({'cells': np.array([[0, 0, 2], [1, 1, 3]])}, UNKNOWN, 'test/009: 5'),
        ({'cells': np.zeros((2, 3), int)}, EMPTY, 'test/009'),
    ],
)
def test_each_oddity_is_found_alone_and_named(changes, title, phrase):
    pairs = [pair(1), pair(2), pair(3, 'test'), pair(9, 'test', **changes)]
    assert found(*pairs) == {title: (phrase,)}


def test_equal_pairs_are_told_from_shared_patches():
    one = {'cell_digest': b'c', 'tissue_digest': b't'}
    assert set(found(pair(1, **one), pair(2, **one))) == {
        PAIRS_WITHIN, CELLS_WITHIN, TISSUE_WITHIN,
    }  # fmt: skip
    # each cell patch with two tissue patches and the reverse, as in TIGER
    grid = [
        pair(2 * c + t, cell_digest=b'c%d' % c, tissue_digest=b't%d' % t)
        for c in range(2)
        for t in range(2)
    ]
    assert set(found(*grid)) == {CELLS_WITHIN, TISSUE_WITHIN}


def test_equal_patches_of_other_annotations_contradict_each_other():
    one = pair(1, cell_digest=b'c', tissue_digest=b't')
    for split in ('train', 'test'):
        other = {'split': split, 'cell_digest': b'c', 'tissue_digest': b't'}
        equal = (f'train/001 = {split}/002',)
        relabelled = found(one, pair(2, **other, cells_digest=b'other'))
        assert relabelled[OTHER_CELLS] == equal
        assert OTHER_MASKS not in relabelled
        repainted = found(one, pair(2, **other, mask_digest=b'other'))
        assert repainted[OTHER_MASKS] == equal
        assert OTHER_CELLS not in repainted
    # other patches may have other annotations
    assert found(pair(1), pair(2, cells_digest=b'other', mask_digest=b'other')) == {}


SLIDE_1, SLIDE_2 = (f'TCGA-A1-A0SK-01Z-00-DX{n}.A44D70FA' for n in (1, 2))


def test_two_slides_of_a_patient_leak_and_one_slide_is_told_once():
    pairs = [pair(1, slide_name=SLIDE_1), pair(2, 'test', slide_name=SLIDE_2), pair(3, 'test')]
    assert found(*pairs) == {PATIENTS: ("patient 'TCGA-A1-A0SK': train/001, test/002",)}
    within = [pair(1, slide_name=SLIDE_1), pair(2, slide_name=SLIDE_2)]
    assert found(*within) == {}
    same = [pair(1, slide_name=SLIDE_1), pair(2, 'test', slide_name=SLIDE_1)]
    assert set(found(*same)) == {SPLITS}


def test_patches_of_one_color_and_slides_of_no_name_are_not_compared():
    nothing = {'cell_digest': None, 'tissue_digest': None, 'slide_name': ''}
    pairs = [pair(1, **nothing), pair(2, **nothing), pair(3, 'test', **nothing)]
    assert set(found(*pairs)) == {BLANK, UNNAMED}


def test_only_splits_that_hold_two_are_said_to():
    equal = {'tissue_digest': b't'}
    pairs = [pair(1, **equal), pair(2, **equal), pair(3, 'test', **equal)]
    assert found(*pairs) == {
        TISSUE_ACROSS: ('train/001 = train/002 = test/003',),
        TISSUE_WITHIN: ('train/001 = train/002',),
    }


def test_cells_outside_are_cells():
    assert EMPTY not in found(pair(1, cells=np.zeros((2, 3), int), outside=1))


def test_sizes_are_counted():
    odd = pair(3, cell_size=(4, 8))
    assert found(pair(1), pair(2), odd) == {
        SIZES: (
            '2 of 8 x 8 and 8 x 8 px, such as train/001',
            '1 of 4 x 8 and 8 x 8 px, such as train/003',
        )
    }


def lines(*pairs):
    text = statistics_checks.render(statistics_checks.check(pairs))
    return {line[7:].partition(':')[0]: line for line in text.splitlines()[1:]}


def test_every_check_has_its_line():
    got = lines(pair(1))
    assert set(got) == {
        SPLITS, PATIENTS, UNNAMED, CELLS_ACROSS, TISSUE_ACROSS, PAIRS_WITHIN, CELLS_WITHIN,
        TISSUE_WITHIN, OTHER_CELLS, OTHER_MASKS, BLANK, OUTSIDE, OVERHANG, UNKNOWN, EMPTY, SIZES,
    }  # fmt: skip
    assert all(line.startswith('ok ') and line.endswith(': none') for line in got.values())


def test_alarms_are_told_from_notes_and_totals_given():
    got = lines(
        pair(1, outside=2, tissue_digest=b't'),
        pair(2, outside=1, tissue_digest=b't', cells=np.array([[1, 0, 2], [0, 0, 0]])),
    )
    assert got[OUTSIDE].startswith(f'ALARM  {OUTSIDE}: 3 (train/001: 2; train/002: 1). They')
    assert got[UNKNOWN] == f'note   {UNKNOWN}: 2 of 13, in 1 pairs (train/002: 2)'
    assert got[TISSUE_WITHIN].startswith(f'note   {TISSUE_WITHIN}: 1 (train/001 = train/002). So')


def test_text_is_short_and_csv_is_whole(tmp_path):
    pairs = [pair(n, cells=np.zeros((2, 3), int), tissue_digest=b't') for n in range(30)]
    got = lines(*pairs)
    assert got[EMPTY].endswith(': 30 (train/000; train/001; train/002; train/003; and 26 more)')
    assert len(got[TISSUE_WITHIN]) < 300
    path = tmp_path / 'checks.csv'
    statistics_checks.write_csv(statistics_checks.check(pairs), path)
    with path.open(newline='') as file:
        header, *rows = csv.reader(file)
    assert header == ['weight', 'check', 'found']
    names = [f'train/{n:03d}' for n in range(30)]
    assert rows == [
        ['note', TISSUE_WITHIN, ' = '.join(names)],
        *(['note', EMPTY, name] for name in names),
    ]
