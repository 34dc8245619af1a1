"""The paper's own numbers of its data sets (Tables 1-4, A.1, F.1, F.2), by data set."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple


class Key(NamedTuple):
    """What a number is of.

    Attributes:
        table: of the paper, such as '3'; those of two parts are '...a' and '...b'.
        item: an organ, a class, or 'total'; '' where the number is of the whole data set.
        split: 'train', 'validation', 'test' or 'all'.
        quantity: what is counted, such as 'pairs' or '% in CA'.
    """

    table: str
    item: str
    split: str
    quantity: str


@dataclasses.dataclass(frozen=True)
class Numbers:
    """What the paper says of one data set.

    Attributes:
        values: its numbers.
        notes: what one must know to compare with them.
        tissue_classes: the names of the data set's tissue classes.
    """

    values: Mapping[Key, float]
    notes: tuple[str, ...]
    tissue_classes: tuple[str, ...] = ('BG', 'CA')


def numbers_of(name: str) -> Numbers:
    """Finds the paper's numbers of a data set; none for one that the paper does not know.

    The name is such as 'ocelot' or 'ocelot_synthetic/small', or that of a directory or zip; the
    release's own, 'ocelot2023...', is known too.
    """
    name = name.partition('/')[0].partition(':')[0]
    known = {'tiger': _TIGER, 'carp': _CARP, 'ocelot': _OCELOT, 'ocelot_synthetic': _SYNTHETIC}
    return known.get('ocelot' if name.startswith('ocelot2023') else name, Numbers({}, ()))


_SPLITS = ('train', 'validation', 'test')


def _by_split(table: str, quantity: str, text: str) -> dict[Key, float]:
    """Gives keys to lines of a name and a number for each split."""
    return {
        Key(table, item, split, quantity): float(value) if 'e' in value else int(value)
        for item, *values in map(str.split, text.strip().splitlines())
        for split, value in zip(_SPLITS, values, strict=True)
    }


def _inside_outside(tissue: str, cells: Mapping[str, tuple[float, float]]) -> dict[Key, float]:
    """Gives keys to Table 3: cells inside and outside a tissue class, and their shares."""
    places = (tissue, f'non-{tissue}')
    return {
        Key('3', item, 'all', f'{unit} in {place}'): round(value * factor, 2)
        for item, counts in cells.items()
        for unit, factor in (('cells', 1), ('%', 100 / sum(counts)))
        for place, value in zip(places, counts, strict=True)
    }


def _sizes(
    area: float, cells: int, organs: int, fov: tuple[int, int], mpp: float, pairs: int
) -> dict[Key, float]:
    """Gives keys to Tables 1 (area in cm2) and F.2 (fields of view in pixels)."""
    first = {'area (cm2)': area, 'cells': cells, 'organs': organs}
    last = {'cell FoV (px)': fov[0], 'tissue FoV (px)': fov[1], 'um/px': mpp, 'pairs': pairs}
    tables = {'1': first, 'F.2': last}
    return {Key(t, '', 'all', q): value for t, held in tables.items() for q, value in held.items()}


_SLIDES = """
kidney         48 15 18
head-and-neck  13  5  6
prostate       26 12 10
stomach        15  6  5
endometrium    38 13 13
bladder        35 14 14
total         175 65 66
"""
_PAIRS = """
kidney        125  41  41
head-and-neck  27   9  10
prostate       50  17  16
stomach        36  12  12
endometrium    86  29  25
bladder        82  29  26
total         406 137 130
"""
_PIXELS = """
BG    237.4e6  79.1e6  71.6e6
CA    171.0e6  57.8e6  58.8e6
UNK    17.3e6   6.7e6   6.1e6
total 425.7e6 143.6e6 136.3e6
"""
_CELLS = """
BC    23600  8400  9700
TC    43800 16300 12900
total 67400 24700 22600
"""

_OCELOT = Numbers(
    {
        **_sizes(4.267, 114_700, 6, (1024, 4096), 0.2, 673),
        **_by_split('2', 'slides', _SLIDES),
        **_by_split('2', 'pairs', _PAIRS),
        **_inside_outside('CA', {'BC': (6_400, 35_200), 'TC': (67_700, 5_400)}),
        Key('4', 'CA', 'train', '% of pixels'): 40.17,
        Key('4', 'non-CA', 'train', '% of pixels'): 59.83,
        **_by_split('A.1a', 'pixels', _PIXELS),
        **_by_split('A.1b', 'cells', _CELLS),
    },
    (
        'The release 1.0.1 holds 400 + 137 + 126 of the 406 + 137 + 130 pairs.',
        "Table 4's shares, and those in Section 3.1, are of the training split (Table A.1: 171.0M "
        'of 425.7M pixels). Section 3.1 swaps the cells: 65.0% (43.8K of 67.4K) are TC.',
        'non-CA holds UNK too: the shares of Table 4 add up, as do the cells of Table 3.',
        'The area is of whole patches, UNK included: 0.634 mm2 a pair, as for CARP, or '
        '0.778 um/px; at 0.8 um/px the same pairs have 4.516 cm2.',
    ),
)

_SYNTHETIC = Numbers(
    {key: value for key, value in _OCELOT.values.items() if key.quantity.startswith('%')},
    ('The shares beside it are those of OCELOT, after which these pairs are drawn.',),
)

# Table F.1: share of the pixels and of the lymphocytes, by the classes that were annotated, and
# the class that Appendix F makes of each.
_TIGER_CLASSES = {
    'Invasive Tumor': ('BG', 27.11, 4.14),
    'Tumor-associated Stroma': ('ST', 27.48, 30.36),
    'In-situ Tumor': ('BG', 4.86, 0.14),
    'Healthy Glands': ('BG', 3.05, 0.66),
    'Necrosis not in-situ': ('BG', 1.48, 0.09),
    'Inflamed Stroma': ('ST', 3.31, 58.98),
    'Rest': ('BG', 31.67, 4.65),
    'Excluded': ('UNK', 1.04, 0.98),
}


def _remapped(quantity: str) -> dict[str, float]:
    sums = dict.fromkeys(('BG', 'ST', 'UNK'), 0.0)
    for kind, pixels, lymphocytes in _TIGER_CLASSES.values():
        sums[kind] += {'pixels': pixels, 'LC': lymphocytes}[quantity]
    return {name: round(total, 2) for name, total in sums.items()}


_TIGER = Numbers(
    {
        **_sizes(2.536, 50_800, 1, (128, 512), 0.5, 9_888),
        **_inside_outside('ST', {'LC': (45_400, 5_400)}),
        Key('4', 'ST', 'all', '% of pixels'): 30.79,
        Key('4', 'non-ST', 'all', '% of pixels'): 69.21,
        **{
            Key('F.1', name, 'all', f'% of {quantity}'): share
            for quantity in ('pixels', 'LC')
            for name, share in _remapped(quantity).items()
        },
    },
    (
        'The records hold the classes after remapping; beside them stand the sums of the classes '
        'of Table F.1: '
        + ', '.join(f'{name} -> {row[0]}' for name, row in _TIGER_CLASSES.items())
        + '.',
        'Area, cells and shares of the paper (50.8K cells, Tables 1, 3, 4, F.1) are of the '
        'annotated regions, before pairs are cut from them: patches overlap and regions that are '
        'too small give none, so that "distinct" comes near them and need not meet them.',
    ),
    tissue_classes=('BG', 'ST'),
)

_CARP = Numbers(
    {
        **_sizes(41.08, 809_100, 1, (1024, 4096), 0.2, 6_480),
        Key('2', 'total', 'all', 'slides'): 1012,
        Key('2', 'total', 'all', 'pairs'): 6480,
    },
    (
        'Section 6.1 writes an area of 4.1080 mm2, not ten times that of OCELOT but a hundredth; '
        '41.080 cm2 is, and is the same area a pair as in OCELOT.',
    ),
)
