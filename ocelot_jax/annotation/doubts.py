"""What makes pairs of annotations wrong, or doubtful."""

import collections
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ocelot_jax.annotation.choices import Choices
from ocelot_jax.annotation.summary import Counts
from ocelot_jax.annotation.surveying import Survey
from ocelot_jax.io.errors import InputError


def refuse(annotations: Path, surveys: Sequence[Survey], choices: Choices) -> None:
    """Refuses annotations of which no pair can be made, or none that is annotated wholly.

    Args:
        annotations: where they are from, for errors.
        surveys: of the slides.
        choices: how pairs are made.

    Raises:
        InputError: there is no region, none is large enough, or a region has cells of a class
            that nobody mapped: they would count as background in training.
    """
    if not any(one.rois for one in surveys):
        names = collections.Counter(
            area.name or 'no class' for one in surveys for area in one.annotations.areas
        )
        raise InputError(
            f'{annotations}: has no area of class {choices.roi_class} (there are '
            f'{_list(names) or "no areas"}); want one around each place where every cell is '
            'annotated, drawn in QuPath with the rectangle tool, or the class that yours have as '
            '--roi_class'
        )
    unmapped = sum((collections.Counter(one.unmapped) for one in surveys), collections.Counter())
    if unmapped:
        name = unmapped.most_common(1)[0][0]
        raise InputError(
            f'{annotations}: cells in ROIs are of classes that --cell_classes does not name: '
            f'{_list({name or "no class": count for name, count in unmapped.items()})}; want each '
            f'mapped, as in {name + "=" + (choices.cell_classes.names or ("TC",))[0]!r}, or left '
            f'out on purpose, as in {name + "="!r}'
        )
    if not any(one.places for one in surveys):
        side = choices.patches.sides_um[0]
        sizes = [
            (min(right - left, bottom - top), right - left, bottom - top)
            for one in surveys
            for area in one.annotations.areas
            if area.name == choices.roi_class
            for left, top, right, bottom in [area.geometry.bounds]
        ]
        _, width, height = max(sizes)
        raise InputError(
            f'{annotations}: no ROI holds a cell patch, {side:g} um a side; the largest is '
            f'{width:.1f} x {height:.1f} um; want larger ones, or smaller patches by --patches'
        )


def of(
    surveys: Sequence[Survey],
    splits: Mapping[str, str],
    counts: Mapping[str, Counts],
    choices: Choices,
) -> Iterator[str]:
    """Tells what may be wrong with pairs.

    Args:
        surveys: of the slides.
        splits: by group.
        counts: by split.
        choices: how pairs are made.

    Yields:
        A sentence each.
    """
    for one in surveys:
        yield from one.doubts
    wanted = [name for name, share in zip(counts, choices.shares, strict=True) if share > 0]
    empty = [name for name in wanted if not counts[name].pairs]
    if empty:
        within = '' if choices.split_by == 'roi' else '; --split_by=roi splits within slides'
        yield (
            f'{" and ".join(empty)} {"is" if len(empty) == 1 else "are"} empty: all pairs are of '
            f'{len(splits)} {choices.split_by}{"s" * (len(splits) > 1)}, and none may be in two '
            f'splits{within}'
        )
    if choices.split_by == 'roi' and len(splits) > 1:
        yield (
            '--split_by=roi: patches of one slide look alike, and tissue patches of neighbours '
            'overlap, so scores on validation and test flatter; want other slides for a test'
        )
    yield from _missing_classes(surveys, counts, choices)


def _missing_classes(
    surveys: Sequence[Survey], counts: Mapping[str, Counts], choices: Choices
) -> Iterator[str]:
    cells = {name for one in surveys for name in one.annotations.names}
    tissue = {area.name for one in surveys for area in one.tissue}
    for kind, classes, held in (
        ('cell', choices.cell_classes, cells),
        ('tissue', choices.tissue_classes, tissue),
    ):
        absent = [name or 'no class' for name in classes.labels if name not in held]
        if absent:
            yield f'--{kind}_classes: nothing is of {", ".join(absent)}; there are {_words(held)}'
    train = counts['train']
    for kind, classes, count_of in (
        ('cell', choices.cell_classes, train.cells),
        ('tissue', choices.tissue_classes, train.pixels[:-1]),
    ):
        none = [name for name, count in zip(classes.names, count_of, strict=True) if not count]
        if none and count_of.any():
            yield f'train has no {kind} of {", ".join(none)}, so that nothing can learn it'
    if not train.pixels[:-1].any():
        yield 'no tissue of train is annotated: only models without a tissue branch can learn'


def _list(names: Mapping[str, int]) -> str:
    return ', '.join(f'{name} ({count})' for name, count in sorted(names.items()))


def _words(names: set[str]) -> str:
    return ', '.join(sorted(name for name in names if name)) or 'none'
