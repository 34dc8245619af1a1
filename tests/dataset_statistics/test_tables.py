"""Sums over pairs, the paper's numbers, and both as text and CSV."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocelot_jax.dataset_statistics import paper as paper_tables
from ocelot_jax.dataset_statistics import tables as statistics_tables
from ocelot_jax.dataset_statistics.counts import PairCounts
from ocelot_jax.dataset_statistics.paper import Key

CELLS, TISSUES = ('BC', 'TC'), ('BG', 'CA')
SPLITS = ('train', 'validation', 'test')


def pair(number, split='train', **changes):
    return PairCounts(
        **{
            'pair_id': f'{number:03d}',
            'split': split,
            'slide_name': f'slide-{number}',
            'organ': 'kidney',
            'cells': np.array([[10, 2, 1], [3, 20, 0]]),
            'pixels': np.array([50, 40, 10]),
            'cell_size': (10, 10),
            'tissue_size': (10, 10),
            'cell_mpp': 0.5,
            'tissue_mpp': 2.0,
            'outside': 0,
            'overhang': 0.0,
            'cell_digest': f'cell {number}'.encode(),
            'tissue_digest': f'tissue {number}'.encode(),
            'cells_digest': b'cells',
            'mask_digest': b'mask',
        }
        | changes
    )


def tabulated(*pairs, paper=None, tissues=TISSUES):
    rows = statistics_tables.tabulate(pairs, CELLS, tissues, paper or {})
    return {tuple(row.key): row for row in rows}


def counted(*pairs, **options):
    return {key: row.counted for key, row in tabulated(*pairs, **options).items()}


def test_tables_of_two_pairs():
    got = counted(pair(1), pair(2, 'test', organ='stomach', tissue_mpp=1.0))
    expected = {
        ('1', '', 'all', 'area (cm2)'): 100 * (2.0**2 + 1.0**2) * 1e-8,
        ('1', '', 'all', 'cells'): 72,
        ('1', '', 'all', 'organs'): 2,
        ('2', 'kidney', 'train', 'pairs'): 1,
        ('2', 'kidney', 'test', 'pairs'): 0,
        ('2', 'stomach', 'all', 'slides'): 1,
        ('2', 'total', 'all', 'slides'): 2,
        ('3', 'TC', 'train', 'cells in CA'): 20,
        ('3', 'TC', 'all', 'cells in CA'): 40,
        ('3', 'BC', 'all', 'cells in non-CA'): 22,
        ('3', 'BC', 'test', '% in non-CA'): 100 * 11 / 13,
        ('3', 'TC', 'all', '% in CA'): 100 * 20 / 23,
        ('4', 'CA', 'all', '% of pixels'): 40,
        ('4', 'non-CA', 'train', '% of pixels'): 60,
        ('A.1a', 'BG', 'all', 'pixels'): 100,
        ('A.1a', 'UNK', 'test', 'pixels'): 10,
        ('A.1a', 'total', 'train', 'pixels'): 100,
        ('A.1b', 'BC', 'train', 'cells'): 13,
        ('A.1b', 'total', 'all', 'cells'): 72,
        ('F.1', 'UNK', 'all', '% of pixels'): 10,
        ('F.1', 'BG', 'all', '% of TC'): 100 * 3 / 23,
        ('F.2', '', 'all', 'cell FoV (px)'): 10,
        ('F.2', '', 'all', 'tissue FoV (px)'): (40 + 20) / 2,
        ('F.2', '', 'all', 'um/px'): 0.5,
        ('F.2', '', 'all', 'pairs'): 2,
    }
    assert {key: got[key] for key in expected} == pytest.approx(expected)
    assert {key[2] for key in got} == {'train', 'test', 'all'}


def test_a_slide_of_two_pairs_counts_once():
    got = counted(pair(1), pair(2, slide_name='slide-1'), pair(3))
    assert got['2', 'total', 'train', 'slides'] == 2
    assert got['2', 'total', 'train', 'pairs'] == 3


def test_um_per_pixel_has_its_range():
    got = counted(pair(1, cell_mpp=0.2), pair(2, cell_mpp=0.26))
    assert [got['F.2', '', 'all', name] for name in ('um/px', 'least um/px', 'most um/px')] == (
        pytest.approx([0.23, 0.2, 0.26])
    )


def test_each_tissue_class_but_the_background_has_its_outside():
    three = {'pixels': np.array([4, 3, 2, 1]), 'cells': np.array([[1, 2, 3, 4], [5, 6, 7, 8]])}
    got = counted(pair(1, **three), tissues=('BG', 'CA', 'ST'))
    assert got['3', 'BC', 'all', 'cells in CA'] == 2
    assert got['3', 'BC', 'all', 'cells in non-CA'] == 8
    assert got['3', 'TC', 'all', 'cells in ST'] == 7
    assert got['4', 'ST', 'all', '% of pixels'] == 20
    assert got['4', 'non-CA', 'all', '% of pixels'] == 70
    assert not any(key[3].endswith('in BG') for key in got)


def test_equal_patches_count_once_where_distinct():
    shared = {'tissue_digest': b't', 'split': 'test'}
    rows = tabulated(pair(1, **shared), pair(2, **shared), pair(3, cell_digest=b'cell 1'))
    wanted = {
        # pairs 1 and 2 share their tissue, 1 and 3 their cells
        ('1', '', 'all', 'area (cm2)'): (1200e-8, 800e-8),
        ('1', '', 'all', 'cells'): (108, 72),
        ('A.1a', 'CA', 'test', 'pixels'): (80, 40),
        ('A.1a', 'CA', 'train', 'pixels'): (40, 40),
        ('A.1b', 'TC', 'train', 'cells'): (23, 0),
        ('A.1b', 'TC', 'all', 'cells'): (69, 46),
        ('3', 'TC', 'train', '% in CA'): (100 * 20 / 23, None),
        ('2', 'total', 'all', 'pairs'): (3, None),
    }
    for key, (every, distinct) in wanted.items():
        assert rows[key].counted == pytest.approx(every), key
        assert rows[key].distinct == (distinct if distinct is None else pytest.approx(distinct))


def test_patches_of_one_color_are_all_distinct():
    rows = tabulated(pair(1, tissue_digest=None), pair(2, tissue_digest=None))
    assert rows['A.1a', 'CA', 'all', 'pixels'].distinct == 80


def test_shares_of_nothing_are_not_given():
    got = counted(pair(1, cells=np.zeros((2, 3), int)))
    assert got['3', 'TC', 'all', '% in CA'] is None
    assert got['3', 'TC', 'all', 'cells in CA'] == 0


counts = st.integers(0, 50)
made_pairs = st.lists(
    st.builds(
        lambda number, split, organ, cells, pixels: pair(
            number, split, organ=organ, cells=np.array(cells), pixels=np.array(pixels)
        ),
        st.integers(0, 6),
        st.sampled_from(SPLITS),
        st.sampled_from(['kidney', 'bladder']),
        st.tuples(st.tuples(counts, counts, counts), st.tuples(counts, counts, counts)),
        st.tuples(counts, counts, counts),
    ),
    min_size=1,
    max_size=12,
)


@given(made_pairs)
def test_sums_are_consistent(pairs):
    rows = tabulated(*pairs)
    for field in ('counted', 'distinct'):
        got = {key: getattr(row, field) for key, row in rows.items()}
        splits = {key[2] for key in got} - {'all'}
        for table, item, split, quantity in got:
            value = got[table, item, split, quantity]
            additive = quantity in ('pixels', 'cells', 'pairs') or 'cells in' in quantity
            if value is None or table in ('1', 'F.2') or not additive:
                continue
            if split == 'all':
                assert value == sum(got[table, item, each, quantity] for each in splits)
            if item == 'total':
                assert value == sum(
                    got[key]
                    for key in got
                    if key[::2] == (table, split) and key[3] == quantity and key[1] != 'total'
                )
        for name in CELLS:
            assert got['A.1b', name, 'all', 'cells'] == (
                got['3', name, 'all', 'cells in CA'] + got['3', name, 'all', 'cells in non-CA']
            )
        for quantity in ('% of pixels', '% of BC', '% of TC'):
            shares = [got['F.1', name, 'all', quantity] for name in (*TISSUES, 'UNK')]
            assert None in shares or sum(shares) == pytest.approx(100)
    assert rows['1', '', 'all', 'cells'].distinct <= rows['1', '', 'all', 'cells'].counted


def test_paper_stands_beside_its_number():
    key = Key('3', 'TC', 'all', 'cells in CA')
    rows = tabulated(pair(1), paper={key: 67_700, Key('2', 'lung', 'all', 'pairs'): 5})
    assert {k: row.paper for k, row in rows.items() if row.paper is not None} == {key: 67_700}


def test_text_has_a_line_below_for_distinct_and_paper():
    key = Key('A.1b', 'TC', 'train', 'cells')
    rows = tabulated(
        pair(1), pair(2, cell_digest=b'cell 1', cells=np.full((2, 3), 999)), paper={key: 43_800}
    )
    text = statistics_tables.render(rows.values())
    table = text.split('Table A.1 (b). Cells\n')[1].split('\n\n')[0]
    assert [line.split() for line in table.splitlines()] == [
        ['train', 'all'],
        ['BC', 'all', 'pairs', '3,010', '3,010'],
        ['distinct', '13', '13'],
        ['TC', 'all', 'pairs', '3,020', '3,020'],
        ['distinct', '23', '23'],
        ['paper', '43,800', '-'],
        ['total', 'all', 'pairs', '6,030', '6,030'],
        ['distinct', '36', '36'],
    ]
    assert 'Table 2. Slides and pairs\n' in text
    assert 'distinct' not in text.split('Table 2')[1].split('\n\n')[0]


def test_text_is_plain_where_nothing_is_to_be_told_apart():
    text = statistics_tables.render(tabulated(pair(1), pair(2)).values())
    assert 'distinct' not in text
    assert 'all pairs' not in text
    assert 'paper' not in text
    assert '86.96' in text  # 20 of 23 TC in CA


def test_csv_gives_back_every_number(tmp_path):
    key = Key('4', 'CA', 'train', '% of pixels')
    rows = tabulated(pair(1), pair(2, 'test', cells=np.zeros((2, 3), int)), paper={key: 40.17})
    path = tmp_path / 'tables.csv'
    statistics_tables.write_csv(rows.values(), path)
    with path.open(newline='') as file:
        read = list(csv.DictReader(file))
    assert list(read[0]) == [
        'table', 'item', 'split', 'quantity', 'counted', 'distinct', 'paper',
    ]  # fmt: skip
    number = lambda text: float(text) if text else None
    assert {
        tuple(line.values())[:4]: tuple(map(number, list(line.values())[4:])) for line in read
    } == {key: (row.counted, row.distinct, row.paper) for key, row in rows.items()}
    assert len(read) == len(rows)
    assert [path.name for path in tmp_path.iterdir()] == ['tables.csv']


OCELOT = paper_tables.numbers_of('ocelot').values


@pytest.mark.parametrize('split', SPLITS)
def test_the_papers_columns_add_up(split):
    for table, quantity in (
        ('2', 'slides'),
        ('2', 'pairs'),
        ('A.1a', 'pixels'),
        ('A.1b', 'cells'),
    ):
        column = {
            key.item: value
            for key, value in OCELOT.items()
            if (key.table, key.split, key.quantity) == (table, split, quantity)
        }
        total = column.pop('total')
        # the thousands and millions are rounded
        assert sum(column.values()) == pytest.approx(total, rel=0.005), (table, quantity)


def test_the_papers_tables_agree_with_each_other():
    for name in CELLS:
        inside, outside = (
            OCELOT[Key('3', name, 'all', f'cells in {place}')] for place in ('CA', 'non-CA')
        )
        by_split = sum(OCELOT[Key('A.1b', name, split, 'cells')] for split in SPLITS)
        assert inside + outside == pytest.approx(by_split, rel=0.005)
    cancer, every = (OCELOT[Key('A.1a', item, 'train', 'pixels')] for item in ('CA', 'total'))
    assert OCELOT[Key('4', 'CA', 'train', '% of pixels')] == pytest.approx(
        100 * cancer / every, abs=0.02
    )
    # the text gives 93% and 85%
    assert OCELOT[Key('3', 'TC', 'all', '% in CA')] == pytest.approx(93, abs=0.5)
    assert OCELOT[Key('3', 'BC', 'all', '% in non-CA')] == pytest.approx(85, abs=0.5)


def test_tigers_classes_are_remapped_as_in_table_4():
    tiger = paper_tables.numbers_of('tiger').values
    stroma = {q: tiger[Key('F.1', 'ST', 'all', q)] for q in ('% of pixels', '% of LC')}
    assert stroma['% of pixels'] == tiger[Key('4', 'ST', 'all', '% of pixels')]
    assert stroma['% of LC'] == pytest.approx(tiger[Key('3', 'LC', 'all', '% in ST')], abs=0.1)
    for quantity in stroma:
        shares = [tiger[Key('F.1', name, 'all', quantity)] for name in ('BG', 'ST', 'UNK')]
        assert sum(shares) == pytest.approx(100, abs=0.02)


@pytest.mark.parametrize('name', ['ocelot', 'tiger', 'carp', 'ocelot_synthetic/small'])
def test_every_number_of_the_paper_finds_its_place(name):
    paper = paper_tables.numbers_of(name)
    cells = {'tiger': ('LC',), 'carp': ('TC-', 'TC+')}.get(name, CELLS)
    organs = {key.item for key in paper.values if key.table == '2'} - {'total'} or {'lung'}
    pairs = [
        pair(1, split, organ=organ, cells=np.ones((len(cells), 3), int))
        for split in SPLITS
        for organ in organs
    ]
    rows = statistics_tables.tabulate(pairs, cells, paper.tissue_classes, paper.values)
    assert {row.key: row.paper for row in rows if row.paper is not None} == paper.values
    assert paper.values


@pytest.mark.parametrize(
    ('name', 'same'),
    [
        ('ocelot:1.0.0', 'ocelot'),
        ('ocelot2023_v1.0.1', 'ocelot'),
        ('ocelot_synthetic/paper:1.1.0', 'ocelot_synthetic'),
    ],
)
def test_names_of_one_data_set(name, same):
    assert paper_tables.numbers_of(name) is paper_tables.numbers_of(same)


def test_the_synthetic_pairs_are_compared_by_shares_alone():
    held = paper_tables.numbers_of('ocelot_synthetic').values
    assert held
    assert all(key.quantity.startswith('%') for key in held)
    assert not paper_tables.numbers_of('crc_pairs_v1').values
