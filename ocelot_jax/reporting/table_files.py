"""Tables as Markdown, CSV and LaTeX."""

import csv
import io
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

from ocelot_jax.io import atomic
from ocelot_jax.metrics.intervals import Estimate
from ocelot_jax.reporting.paper_scores import DATA_SETS, Key
from ocelot_jax.reporting.tables import YES, Cell, Table

PAPER = 'paper'
_LATEX = {
    '\\': r'\textbackslash{}',
    '~': r'\textasciitilde{}',
    '^': r'\textasciicircum{}',
    '†': r'$\dagger$',
    '±': r'$\pm$',
    **{symbol: f'\\{symbol}' for symbol in '&%$#_{}'},
    YES: r'\checkmark{}',
}


def write(table: Table, folder: Path) -> list[Path]:
    """Writes a table as `table_5.md`, `.csv` and `.tex` to a folder that exists; gives them."""
    forms = {'.md': to_markdown, '.csv': to_csv, '.tex': to_latex}
    paths = {folder / f'{table.file_stem}{suffix}': render for suffix, render in forms.items()}
    for path, render in paths.items():
        atomic.write_text(path, render(table))
    return [*paths]


def shown(held: Estimate | None, applies: bool = True) -> str:
    """Prints a score in percent as the paper does: '71.23±0.96', '71.23' of one run, '-'."""
    if held is None:
        return '-' if applies else 'N/A'
    interval = '' if held.half_width is None else f'±{100 * held.half_width:.2f}'
    return f'{100 * held.mean:.2f}{interval}'


def to_markdown(table: Table) -> str:
    """Gives a table as Markdown; below each row the paper's, where it has one."""
    marks = ('{}', '**{}**', '<u>{}</u>')
    head = [*table.label_heads, *(' '.join(heads) for heads in table.heads)]
    rule = [*('---' for _ in table.label_heads), *('---:' for _ in table.heads)]
    lines = [head, rule, *_lines(table, marks, f'*{PAPER}*')]
    escaped = (' | '.join(text.replace('|', r'\|') for text in line) for line in lines)
    body = '\n'.join(f'| {line} |' for line in escaped)
    notes = '\n'.join(f'- {note}' for note in table.notes)
    return f'**Table {table.name}.** {table.title}\n\n{body}\n\n{notes}\n'


def to_csv(table: Table) -> str:
    """Gives a table as CSV, a line for each number; in percent, what is not there is empty."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator='\n')
    numbers = ('mean', 'half_width')
    writer.writerow([*Key._fields, *numbers, 'repeats', *(f'paper_{name}' for name in numbers)])
    for cell in (cell for row in table.rows for cell in row.cells):
        repeats = cell.ours.count if cell.ours else ''
        writer.writerow([*cell.key, *_percents(cell.ours), repeats, *_percents(cell.paper)])
    return stream.getvalue()


def to_latex(table: Table) -> str:
    r"""Gives a table as LaTeX, for \usepackage{amssymb,booktabs}."""
    marks = ('{}', r'\textbf{{{}}}', r'\underline{{{}}}')
    lines = _lines(table, marks, rf'\textit{{{PAPER}}}', escape)
    columns = 'l' * len(table.label_heads) + 'c' * len(table.heads)
    caption = escape(' '.join([f'{table.title}.', *table.notes]))
    heads = '\n'.join(_latex_heads(table))
    body = '\n'.join(rf'{" & ".join(line)} \\' for line in lines)
    return rf"""% needs \usepackage{{amssymb,booktabs}}
\begin{{table*}}
\centering
\begin{{tabular}}{{{columns}}}
\toprule
{heads}
\midrule
{body}
\bottomrule
\end{{tabular}}
\caption{{{caption}}}
\end{{table*}}
"""


def escape(text: str) -> str:
    """Writes text so that LaTeX prints it as it is."""
    return ''.join(_LATEX.get(symbol, symbol) for symbol in text)


def _lines(
    table: Table,
    marks: Sequence[str],
    paper: str,
    escaped: Callable[[str], str] = str,
) -> list[list[str]]:
    """Gives the table's body: a line of ours, and one of the paper's where it has any.

    The forms `marks` are by rank, `paper` names the paper's line.
    """
    lines = []
    for row in table.rows:
        ours = (marks[c.rank].format(escaped(shown(c.ours, c.applies))) for c in row.cells)
        lines.append([*map(escaped, row.labels), *ours])
        if any(cell.paper for cell in row.cells):
            scores = (marks[c.paper_rank].format(escaped(paper_score(c))) for c in row.cells)
            lines.append([paper, *[''] * (len(row.labels) - 1), *scores])
    return lines


def paper_score(cell: Cell) -> str:
    """Prints the score of the paper; nothing where it has not such a column."""
    in_paper = cell.key.data in DATA_SETS
    return shown(cell.paper, cell.applies) if in_paper else ''


def _percents(held: Estimate | None) -> list[str]:
    values = [held.mean, held.half_width] if held else [None, None]
    return ['' if value is None else f'{100 * value:.4f}' for value in values]


def _latex_heads(table: Table) -> list[str]:
    """Gives the heads: each level but the last above rules as wide as its heads span."""
    labels = len(table.label_heads)
    lines = []
    for level in range(len(table.heads[0]) - 1):
        spans = spanned(table.heads, level)
        cells = [rf'\multicolumn{{{width}}}{{c}}{{{escape(name)}}}' for name, width in spans]
        lines.append(rf'{" & ".join([*[""] * labels, *cells])} \\')
        ends = itertools.accumulate((width for _, width in spans), initial=labels)
        rules = (rf'\cmidrule(lr){{{a + 1}-{b}}}' for a, b in itertools.pairwise(ends))
        lines.append(' '.join(rules))
    names = [*table.label_heads, *(heads[-1] for heads in table.heads)]
    return [*lines, rf'{" & ".join(map(escape, names))} \\']


def spanned(heads: Sequence[tuple[str, ...]], level: int) -> list[tuple[str, int]]:
    """Joins neighbours with equal heads down to a level: the head, and how many it spans."""
    groups = itertools.groupby(heads, lambda held: held[: level + 1])
    return [(name[-1], len(list(members))) for name, members in groups]
