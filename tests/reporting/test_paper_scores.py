"""The paper's numbers, against its text."""

import pytest

from ocelot_jax.reporting import paper_scores
from ocelot_jax.reporting.experiments import CELL_ONLY, TABLE_5
from ocelot_jax.reporting.paper_scores import ORGANS, POPULATION, SCORES, Key

PREFIXES = {
    'Pred-to-input': '(a) ',
    'Pred-to-inter-1': '(b) ',
    'Pred-to-inter-2': '(c) ',
    'Pred-to-output': '(d) ',
}
SPLITS = ('validation', 'test')


@pytest.fixture(scope='module')
def lines(shared):
    text = (shared / 'paper.txt').read_text()
    return [line.strip() for line in text.splitlines()]


def printed(*keys):
    """Scores as the paper prints them."""
    found = [SCORES[key] for key in keys]
    return ' '.join(f'{100 * f.mean:.2f}±{100 * f.half_width:.2f}' for f in found)


@pytest.mark.parametrize('name', TABLE_5)
def test_tables_5_and_6(lines, name):
    numbers = printed(*(Key('5', name, d, s) for d in paper_scores.DATA_SETS for s in SPLITS))
    assert f'{PREFIXES.get(name, "")}{name} {numbers}' in lines
    organs = printed(*(Key('6', name, 'OCELOT', 'test', o) for o in (POPULATION, *ORGANS)))
    assert f'{name} {organs}' in lines


@pytest.mark.parametrize(
    ('marks', 'suffix', 'tissue'),
    [
        ('- -', None, False),
        ('✓ -', ', tissue label only', True),
        ('- ✓', ', large FoV only', False),
        ('✓ ✓', '', True),
    ],
)
def test_tables_7_and_d1(lines, marks, suffix, tissue):
    first, second = (
        CELL_ONLY if suffix is None else name + suffix
        for name in ('Pred-to-inter-2', 'Feature-sharing')
    )
    of = lambda table, name, **kind: printed(
        *(Key(table, name, 'OCELOT', split, **kind) for split in SPLITS)
    )
    assert f'{marks} {of("7", first)} {of("7", second)}' in lines
    iou = of('D.1', second, metric='mIoU') if tissue else 'N/A N/A'
    assert f'{marks} {of("D.1", second)} {iou}' in lines


@pytest.mark.parametrize(
    ('name', 'label'),
    [
        ('Cell-only', 'Cell-only DeepLabV3+ [10]'),
        ('Cell-only, U-Net', 'Cell-only U-Net'),
        ('MFoVCE-Net', 'Cell-only† MFoVCE-Net [6]'),
        ('Pred-to-inter-2', 'Pred-to-inter-2 DeepLabV3+ [10]'),
    ],
)
def test_table_c1(lines, name, label):
    assert f'{label} {printed(*(Key("C.1", name, "OCELOT", s) for s in SPLITS))}' in lines


def test_organs_have_the_papers_numbers_of_pairs(lines):
    assert ' '.join(f'({n})' for n in (130, *ORGANS.values())) in lines
    assert sum(ORGANS.values()) == 130


def test_there_are_no_others():
    assert len(SCORES) == 7 * 6 + 7 * 7 + 7 * 2 + 4 * 2 + (4 + 2) * 2


def test_overall_is_of_table_5_and_else_of_c_1():
    assert paper_scores.overall('Cell-only, U-Net', 'OCELOT', 'test').mean == 0.6346
    assert paper_scores.overall(CELL_ONLY, 'TIGER', 'test').mean == 0.5382
    assert paper_scores.overall('MFoVCE-Net', 'TIGER', 'test') is None
