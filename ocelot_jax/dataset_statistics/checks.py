"""What is odd about a data set's pairs: leaks, duplicates, cells where none should be."""

import dataclasses
import enum
import pathlib
from collections.abc import Callable, Iterable, Sequence

from ocelot_jax.data.patients import patient
from ocelot_jax.dataset_statistics.counts import PairCounts
from ocelot_jax.io import csv_files

# The release rounds its centers to about a pixel of the tissue patch.
_MAX_OVERHANG = 1.0
_SHOWN = 4
_MAX_PHRASE = 90
_LEAKED = 'Scores on the later split say less than they seem to.'


class Weight(enum.StrEnum):
    """How much it matters that a check found something."""

    ALARM = 'ALARM'
    NOTE = 'note'


@dataclasses.dataclass(frozen=True)
class Check:
    """What one check looked for, and found.

    Attributes:
        title: what it looked for.
        weight: of a find.
        found: a phrase for each find, which names its pairs as split/pair_id.
        remark: what a find means.
        total: how many are found of how many, where that is not the number of phrases.
    """

    title: str
    weight: Weight
    found: tuple[str, ...]
    remark: str = ''
    total: str = ''


def check(pairs: Sequence[PairCounts]) -> list[Check]:
    """Looks for what a data set should not hold, and for what one should know.

    Args:
        pairs: of all splits.

    Returns:
        All the checks, those that found nothing too.
    """
    return [
        *_leaks(pairs),
        *_duplicates(pairs),
        *_contradictions(pairs),
        _blank(pairs),
        _outside(pairs),
        _overhanging(pairs),
        _on_unknown(pairs),
        _empty(pairs),
        _sizes(pairs),
    ]


def render(checks: Iterable[Check]) -> str:
    """Gives one line for each check, with the first of its finds."""
    lines = []
    for each in checks:
        weight = each.weight if each.found else 'ok'
        line = f'{weight:<5}  {each.title}: {each.total or len(each.found) or "none"}'
        if each.found:
            shown = [_shortened(phrase) for phrase in each.found[:_SHOWN]]
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


def _shortened(phrase: str) -> str:
    return phrase if len(phrase) <= _MAX_PHRASE else f'{phrase[: _MAX_PHRASE - 3]}...'


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
    unnamed = tuple(_name(pair) for pair in pairs if not pair.slide_name)
    return [
        Check('slides in more than one split', Weight.ALARM, tuple(slides), _LEAKED),
        Check(
            'slides of one patient in more than one split',
            Weight.ALARM,
            tuple(patients),
            f"By names as TCGA's and TIGER's. {_LEAKED}",
        ),
        Check('pairs without a slide name', Weight.NOTE, unnamed, 'Their leaks cannot be found.'),
    ]


def _duplicates(pairs: Sequence[PairCounts]) -> list[Check]:
    """Finds patches of which every pixel is the same."""
    groups = {
        'cell patches': _groups(pairs, lambda pair: pair.cell_digest).values(),
        'tissue patches': _groups(pairs, lambda pair: pair.tissue_digest).values(),
    }
    whole = _groups(pairs, _whole_digest).values()
    across = [
        Check(
            f'same {kind} in more than one split',
            Weight.ALARM,
            tuple(_equal(held) for held in found if _across_splits(held)),
            _LEAKED,
        )
        for kind, found in groups.items()
    ]
    twice = Check(
        'same pairs twice in a split',
        Weight.ALARM,
        tuple(_equal(held) for found in whole for held in _within_splits(found)),
        'Both patches are the same.',
    )
    within = [
        Check(
            f'same {kind} twice in a split',
            Weight.NOTE,
            tuple(_equal(held) for each in found for held in _within_splits(each)),
            'So meant where pairs are cut from one region, as in TIGER; "distinct" counts each '
            'once.',
        )
        for kind, found in groups.items()
    ]
    return [*across, twice, *within]


def _contradictions(pairs: Sequence[PairCounts]) -> list[Check]:
    """Finds patches of which every pixel is the same, but not what is annotated on them."""
    return [
        Check(
            f'same {patches} with other {annotations}',
            Weight.ALARM,
            tuple(_equal(held) for held in groups.values() if len({*map(annotation, held)}) > 1),
            'One of them at most is right.',
        )
        for patches, annotations, groups, annotation in (
            (
                'cell patches',
                'cells',
                _groups(pairs, lambda pair: pair.cell_digest),
                lambda pair: pair.cells_digest,
            ),
            (
                'tissue patches',
                'masks',
                _groups(pairs, lambda pair: pair.tissue_digest),
                lambda pair: pair.mask_digest,
            ),
        )
    ]


def _blank(pairs: Sequence[PairCounts]) -> Check:
    found = tuple(_name(p) for p in pairs if None in (p.cell_digest, p.tissue_digest))
    remark = 'They are not compared with each other.'
    return Check('patches of one color', Weight.NOTE, found, remark)


def _outside(pairs: Sequence[PairCounts]) -> Check:
    total = sum(pair.outside for pair in pairs)
    found = tuple(f'{_name(pair)}: {pair.outside}' for pair in pairs if pair.outside)
    remark = (
        'They are in none of the tables; a directory or zip with such cells cannot be trained on.'
    )
    return Check('cells outside of their patch', Weight.ALARM, found, remark, str(total or ''))


def _overhanging(pairs: Sequence[PairCounts]) -> Check:
    found = tuple(
        f'{_name(pair)}: by {pair.overhang:.1f} px'
        for pair in pairs
        if pair.overhang > _MAX_OVERHANG
    )
    remark = 'Cells out there count as on unknown tissue.'
    return Check('cell patches that reach out of the tissue', Weight.ALARM, found, remark)


def _on_unknown(pairs: Sequence[PairCounts]) -> Check:
    unknown = {_name(pair): int(pair.cells[:, -1].sum()) for pair in pairs}
    total, cells = sum(unknown.values()), sum(int(pair.cells.sum()) for pair in pairs)
    found = tuple(f'{name}: {count}' for name, count in unknown.items() if count)
    share = f'{total} of {cells}, in {len(found)} pairs' if total else ''
    return Check('cells on unknown tissue', Weight.NOTE, found, total=share)


def _empty(pairs: Sequence[PairCounts]) -> Check:
    found = [_name(pair) for pair in pairs if not pair.cells.sum() + pair.outside]
    return Check('pairs without cells', Weight.NOTE, tuple(found))


def _sizes(pairs: Sequence[PairCounts]) -> Check:
    groups = _groups(pairs, lambda pair: (pair.cell_size, pair.tissue_size))
    found = [
        f'{len(held)} of {_text(cell)} and {_text(tissue)} px, such as {_name(held[0])}'
        for (cell, tissue), held in groups.items()
    ]
    remark = 'A batch wants patches of one size.'
    return Check(
        'patches of several sizes', Weight.ALARM, tuple(found if len(found) > 1 else ()), remark
    )


def _groups(pairs: Iterable[PairCounts], of: Callable) -> dict:
    """Groups pairs by a value, and leaves out those that have None."""
    groups: dict = {}
    for pair in pairs:
        groups.setdefault(of(pair), []).append(pair)
    groups.pop(None, None)
    return groups


def _whole_digest(pair: PairCounts) -> tuple[bytes, bytes] | None:
    digests = (pair.cell_digest, pair.tissue_digest)
    return None if None in digests else digests


def _across_splits(pairs: Iterable[PairCounts]) -> bool:
    return len({pair.split for pair in pairs}) > 1


def _within_splits(pairs: Iterable[PairCounts]) -> list[list[PairCounts]]:
    """Sorts equal pairs by split, and leaves out what is alone there."""
    groups = _groups(pairs, lambda pair: pair.split).values()
    return [held for held in groups if len(held) > 1]


def _equal(pairs: Iterable[PairCounts]) -> str:
    return ' = '.join(map(_name, pairs))


def _name(pair: PairCounts) -> str:
    return f'{pair.split}/{pair.pair_id}'


def _text(size: tuple[int, int]) -> str:
    return f'{size[0]} x {size[1]}'
