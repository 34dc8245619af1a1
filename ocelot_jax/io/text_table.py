"""Tables for terminals."""

from collections.abc import Sequence


def align(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Pads the columns of a table to one width each, two spaces apart.

    Args:
        rows: the cells of each line, equally many.
        left: how many columns, from the first on, are aligned to the left; the others are to the
            right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        texts = map(str.ljust, row[:left], widths[:left])
        numbers = map(str.rjust, row[left:], widths[left:])
        lines.append('  '.join([*texts, *numbers]).rstrip())
    return '\n'.join(lines)
