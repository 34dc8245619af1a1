"""What levers give, as Markdown and CSV; scores in percent."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from ocelot_jax.io import atomic
from ocelot_jax.reporting import levers as levers_lib
from ocelot_jax.reporting import table_files
from ocelot_jax.reporting.levers import Lever, Levers

_COLUMNS = (
    *('lever', 'data', 'experiment', 'split', 'changes', 'runs', 'seeds', 'folds'),
    *('score', 'with', 'without', 'difference', 'low', 'high', 'p'),
    *('calibration_error', 'resolution', 'step_seconds', 'verdict'),
)
WITHOUT = 'Without a lever'


def write(held: Sequence[Levers], folder: Path) -> list[Path]:
    """Writes `levers.md` and `levers.csv` to a folder that exists; gives them.

    Where there are no levers, it removes those of an earlier report.
    """
    forms = {'levers.md': to_markdown, 'levers.csv': to_csv}
    if not held:
        for name in forms:
            (folder / name).unlink(missing_ok=True)
        return []
    for name, render in forms.items():
        atomic.write_text(folder / name, render(held))
    return [folder / name for name in forms]


def points(value: float | None) -> str:
    """A difference in percentage points; '-' where there is none."""
    return '-' if value is None else f'{100 * value:+.1f}'.replace('-', '−')


def percent(value: float | None) -> str:
    """A share in percent; '-' where there is none."""
    return '-' if value is None else f'{100 * value:.1f}'


def seconds(value: float | None) -> str:
    """A time in seconds; '-' where there is none."""
    return '-' if value is None else f'{value:.2g}'


def p_value(value: float) -> str:
    """A p value as people print it."""
    return '< 0.001' if value < 0.001 else f'{value:.3f}'


def by_class(levers: Levers, lever: Lever) -> str:
    """The difference of each class's F1: 'BC +1.2, TC −0.3'."""
    if lever.compared is None:
        return '-'
    values = [points(of.value) for of in lever.compared.differences[1:]]
    return ', '.join(map(' '.join, zip(levers.classes, values, strict=True)))


def changes(lever: Lever) -> str:
    """What a lever changes: 'data.batch_size=4 num_epochs=8'."""
    return ' '.join(f'{name}={value}' for name, value in lever.changes.items())


def resolution(levers: Levers) -> str:
    """What can be told apart on a data set, in a sentence."""
    if levers.resolution is None:
        return f'{levers.title}: not known of one seed.'
    seeds, width = levers.base.seeds, 100 * levers.resolution
    return f'{levers.title}: ±{width:.1f} percentage points with {seeds} seeds on either side.'


def to_markdown(held: Sequence[Levers]) -> str:
    """Gives all levers as one table."""
    head = (
        *('Lever', 'Data', 'Gain', '95% interval', 'p', 'F1 of each class'),
        *('mF1', 'Calibration error', 'Seconds a step', 'Runs', 'Verdict'),
    )
    rule = ('---', '---', *('---:',) * 3, '---', *('---:',) * 4, '---')
    rows: list[Sequence[str]] = [head, rule]
    rows += [_line(WITHOUT, levers, levers.base, ['-', '-', '-', '-'], '') for levers in held]
    for name, of in levers_lib.by_name(held).items():
        for levers, lever in of:
            told = ['-', '-', '-', '-']
            if lever.compared is not None:
                found = lever.compared.differences[0]
                interval = f'{points(found.low)} to {points(found.high)}'
                told = [points(found.value), interval, p_value(found.p), by_class(levers, lever)]
            rows.append(_line(name, levers, lever, told, lever.verdict))
    body = '\n'.join(
        f'| {" | ".join(text.replace("|", chr(92) + "|") for text in row)} |' for row in rows
    )
    # of several data sets most levers change the same
    told_once = dict.fromkeys(
        f'{lever.name}: {changes(lever)}' for levers in held for lever in levers.levers
    )
    notes = [*told_once, *(f'Resolution on {resolution(levers)}' for levers in held)]
    notes += [f'{levers.title}: {note}' for levers in held for note in levers.notes]
    listed = '\n'.join(f'- {note}' for note in notes)
    title = '**Levers.** Gain: mF1 with each less without, percentage points; else percent'
    return f'{title}\n\n{body}\n\n{listed}\n'


def _line(name: str, levers: Levers, lever: Lever, told: Sequence[str], verdict: str) -> list[str]:
    score = table_files.shown(lever.score)
    others = percent(lever.calibration), seconds(lever.seconds), str(lever.runs)
    return [name, levers.title, *told, score, *others, verdict]


def to_csv(held: Sequence[Levers]) -> str:
    """Gives a line for each lever, data set and score; what is not there is empty."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, _COLUMNS, restval='', lineterminator='\n')
    writer.writeheader()
    for levers in held:
        for lever in (levers.base, *levers.levers):
            writer.writerows(_rows(levers, lever))
    return stream.getvalue()


def _rows(levers: Levers, lever: Lever) -> Iterator[dict[str, str]]:
    is_base = lever is levers.base
    row = {
        'lever': lever.name,
        'data': levers.data,
        'experiment': levers.experiment,
        'split': levers.split,
        'changes': changes(lever),
        'runs': str(lever.runs),
        'seeds': str(lever.seeds),
        'calibration_error': _number(lever.calibration),
        'step_seconds': '' if lever.seconds is None else f'{lever.seconds:.4g}',
    }
    if is_base:
        row['resolution'] = _number(levers.resolution)
    if lever.compared is None:
        yield row
        return
    names = ['mF1', *(f'F1/{name}' for name in levers.classes)]
    row['folds'] = str(len(lever.compared.folds))
    for place, (name, found) in enumerate(zip(names, lever.compared.differences, strict=True)):
        first, second = lever.compared.scores[:, place]
        yield {
            **row,
            'score': name,
            'with': '' if is_base else _number(first),
            'without': _number(second),
            'difference': _number(found.value),
            'low': _number(found.low),
            'high': _number(found.high),
            'p': f'{found.p:.4g}',
            'verdict': '' if is_base or place else lever.verdict,
        }


def _number(value: float | None) -> str:
    return '' if value is None else f'{100 * value:.4f}'
