"""What is odd about a data set's pairs: leaks, duplicates, cells where none should be."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from ocelot_jax.data.patients import patient
from ocelot_jax.dataset_statistics.counts import PairCounts
from ocelot_jax.io import csv_files

# The release rounds its centers to about a pixel of the tissue patch.
_MAX_OVERHANG = 1.0
_SHOWN = 4
_MAX_PHRASE = 90
_ALARM, _NOTE = 'ALARM', 'note'
_LEAKED = 'Scores on the later split say less than they seem to.'

T = TypeVar('T')


@dataclasses.dataclass(frozen=True)
class Check:
    """What one check looked for, and found.

    Attributes:
        weight: how much a find matters, 'ALARM' or 'note'.
        title: what it looked for.
        found: a phrase for each find, which names its pairs as split/pair_id.
        remark: what a find means.
        total: how many are found of how many, where that is not the number of phrases.
    """

    weight: str
    title: str
    found: Sequence[str]
    remark: str = ''
    total: str = ''


def check(pairs: Sequence[PairCounts]) -> list[Check]:
    """Looks for what a data set should not hold, and for what one should know.

    Args:
        pairs: of all splits.

    Returns:
        All the checks, those that found nothing too.
    """
    return [*_leaks(pairs), *_duplicates(pairs), *_single(pairs)]


def render(checks: Iterable[Check]) -> str:
    """Gives one line for each check, with the first of its finds."""
    lines = []
    for each in checks:
        weight = each.weight if each.found else 'ok'
        line = f'{weight:<5}  {each.title}: {each.total or len(each.found) or "none"}'
        if each.found:
            shown = [
                phrase if len(phrase) <= _MAX_PHRASE else f'{phrase[: _MAX_PHRASE - 3]}...'
                for phrase in each.found[:_SHOWN]
            ]
            more = len(each.found) - len(shown)
            line += f' ({"; ".join(shown)}{f"; and {more} more" * (more > 0)})'
            line += f'. {each.remark}' * bool(each.remark)
        lines.append(line)
    return '\n'.join(['Checks', *lines])


def write_csv(checks: Iterable[Check], path: pathlib.Path) -> None:
    """Writes a line for each find."""
    rows = (
        {'weight': each.weight, 'check': each.title, 'found': phrase}
        for each in checks
        for phrase in each.found
    )
    csv_files.write_rows(path, ('weight', 'check', 'found'), rows)


def _leaks(pairs: Sequence[PairCounts]) -> list[Check]:
    named = [pair for pair in pairs if pair.slide_name]
    slides = [
        f'slide {slide!r}: {", ".join(map(_name, held))}'
        for slide, held in _groups(named, lambda pair: pair.slide_name).items()
        if _across_splits(held)
    ]
    patients = [
        f'patient {name!r}: {", ".join(map(_name, held))}'
        for name, held in _groups(named, lambda pair: patient(pair.slide_name)).items()
        if _across_splits(held) and len({pair.slide_name for pair in held}) > 1
    ]
    unnamed = [_name(pair) for pair in pairs if not pair.slide_name]
    by_name = f"By names as TCGA's and TIGER's. {_LEAKED}"
    return [
        Check(_ALARM, 'slides in more than one split', slides, _LEAKED),
        Check(_ALARM, 'slides of one patient in more than one split', patients, by_name),
        Check(_NOTE, 'pairs without a slide name', unnamed, 'Their leaks cannot be found.'),
    ]


def _duplicates(pairs: Sequence[PairCounts]) -> list[Check]:
    """Finds patches of which every pixel is the same, and where their annotations differ."""
    cells = _groups(pairs, lambda pair: pair.cell_digest).values()
    tissue = _groups(pairs, lambda pair: pair.tissue_digest).values()
    known = [pair for pair in pairs if None not in (pair.cell_digest, pair.tissue_digest)]
    whole = _groups(known, lambda pair: (pair.cell_digest, pair.tissue_digest)).values()
    kinds = {'cell patches': cells, 'tissue patches': tissue}
    within = lambda groups: [
        _equal(held)
        for each in groups
        for held in _groups(each, lambda pair: pair.split).values()
        if len(held) > 1
    ]
    differ = lambda groups, of: [_equal(held) for held in groups if len({*map(of, held)}) > 1]
    other_cells = differ(cells, lambda pair: pair.cells_digest)
    other_masks = differ(tissue, lambda pair: pair.mask_digest)
    meant = 'So meant where pairs are cut from one region, as in TIGER; "distinct" counts each '
    meant += 'once.'
    wrong = 'One of them at most is right.'
    return [
        *(
            Check(
                _ALARM,
                f'same {kind} in more than one split',
                [_equal(held) for held in groups if _across_splits(held)],
                _LEAKED,
            )
            for kind, groups in kinds.items()
        ),
        Check(_ALARM, 'same pairs twice in a split', within(whole), 'Both patches are the same.'),
        *(
            Check(_NOTE, f'same {kind} twice in a split', within(groups), meant)
            for kind, groups in kinds.items()
        ),
        Check(_ALARM, 'same cell patches with other cells', other_cells, wrong),
        Check(_ALARM, 'same tissue patches with other masks', other_masks, wrong),
    ]


def _single(pairs: Sequence[PairCounts]) -> list[Check]:
    """Finds what is odd about a pair by itself; last, pairs of another size than others."""
    blank = [_name(p) for p in pairs if None in (p.cell_digest, p.tissue_digest)]
    outside = [f'{_name(pair)}: {pair.outside}' for pair in pairs if pair.outside]
    all_outside = sum(pair.outside for pair in pairs)
    overhanging = [
        f'{_name(pair)}: by {pair.overhang:.1f} px'
        for pair in pairs
        if pair.overhang > _MAX_OVERHANG
    ]
    unknown = {_name(pair): int(pair.cells[:, -1].sum()) for pair in pairs}
    total, cells = sum(unknown.values()), sum(int(pair.cells.sum()) for pair in pairs)
    on_unknown = [f'{name}: {count}' for name, count in unknown.items() if count]
    share = f'{total} of {cells}, in {len(on_unknown)} pairs' if total else ''
    empty = [_name(pair) for pair in pairs if not pair.cells.sum() + pair.outside]
    sizes = [
        f'{len(held)} of {cell[0]} x {cell[1]} and {tissue[0]} x {tissue[1]} px, such as '
        f'{_name(held[0])}'
        for (cell, tissue), held in _groups(
            pairs, lambda pair: (pair.cell_size, pair.tissue_size)
        ).items()
    ]
    alone = 'They are not compared with each other.'
    untrained = (
        'They are in none of the tables; a directory or zip with such cells cannot be trained on.'
    )
    out_there = 'Cells out there count as on unknown tissue.'
    one_size = 'A batch wants patches of one size.'
    return [
        Check(_NOTE, 'patches of one color', blank, alone),
        Check(_ALARM, 'cells outside of their patch', outside, untrained, str(all_outside or '')),
        Check(_ALARM, 'cell patches that reach out of the tissue', overhanging, out_there),
        Check(_NOTE, 'cells on unknown tissue', on_unknown, total=share),
        Check(_NOTE, 'pairs without cells', empty),
        Check(_ALARM, 'patches of several sizes', sizes if len(sizes) > 1 else [], one_size),
    ]


def _groups(
    pairs: Iterable[PairCounts], of: Callable[[PairCounts], T | None]
) -> dict[T, list[PairCounts]]:
    """Groups pairs by a value, and leaves out those that have None."""
    groups: dict[T, list[PairCounts]] = {}
    for pair in pairs:
        value = of(pair)
        if value is not None:
            groups.setdefault(value, []).append(pair)
    return groups


def _across_splits(pairs: Iterable[PairCounts]) -> bool:
    return len({pair.split for pair in pairs}) > 1


def _equal(pairs: Iterable[PairCounts]) -> str:
    return ' = '.join(map(_name, pairs))


def _name(pair: PairCounts) -> str:
    return f'{pair.split}/{pair.pair_id}'
