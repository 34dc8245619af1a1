"""How far long work is: a bar in a terminal; in a file, a notebook or under Slurm plain lines.

The first line comes five seconds after the work begins, if it takes so long, and then one at most
every half minute. Nothing is shown where absl's verbosity is below that of warnings, as with
`--quiet`, or where `TQDM_DISABLE` is set, tqdm's own variable.
"""

import contextlib
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Protocol, TextIO, TypeVar

import tqdm
from absl import logging

FIRST_SECONDS, SECONDS = 5.0, 30.0
"""When the first line comes, and how long after one the next."""

Item = TypeVar('Item')

_interval = tqdm.tqdm.format_interval


class Progress(Protocol):
    """What long work tells of itself."""

    def advance(self, count: int = 1, told: str = '') -> None:
        """Tells that more of it is done, with something to show beside, as 'loss 0.123'."""

    def note(self, line: str) -> None:
        """Prints a line that stays, on standard output."""

    def left(self) -> str:
        """Gives how fast it goes and how long it will take, in words; '' where nobody knows."""


@contextlib.contextmanager
def show(
    label: str, total: int, unit: str, done: int = 0, shown: bool = True
) -> Iterator[Progress]:
    """Shows on standard error how far work is, until the block ends.

    Args:
        label: what is done.
        total: how much of it there is.
        unit: of what, in the plural: 'pairs'.
        done: how much was done before.
        shown: whether this process is to show anything.
    """
    wanted = logging.get_verbosity() >= logging.WARNING and not os.environ.get('TQDM_DISABLE')
    if not (shown and wanted):
        yield _Silent()
    elif sys.stderr.isatty():
        with _Bar(label, total, unit, done) as bar:
            yield bar
    else:
        lines = _Lines(label, total, unit, done)
        yield lines
        lines.end()


def track(items: Iterable[Item], label: str, total: int, unit: str) -> Iterator[Item]:
    """Yields items, and shows how many of `total` have been used; see `show`."""
    with show(label, total, unit) as progress:
        for item in items:
            yield item
            progress.advance()


class _Clock:
    """How fast work goes; its first part does not count, which may have waited for a compiler."""

    def __init__(self, total: int, unit: str, done: int):
        self._total, self._unit, self.done = total, unit, done
        self._since: tuple[float, int] | None = None

    def advance(self, count: int) -> None:
        self.done += count
        if self._since is None:
            self._since = time.monotonic(), self.done

    def left(self) -> str:
        if self._since is None or self.done in (self._since[1], self._total):
            return ''
        rate = (self.done - self._since[1]) / max(time.monotonic() - self._since[0], 1e-9)
        # what takes minutes is easier to read the other way round
        pace = f'{rate:.3g} {self._unit}/s' if rate > 1 / 60 else f'{_interval(1 / rate)} each'
        return f'{pace}, {_interval((self._total - self.done) / rate)} left'


class _Silent:
    def advance(self, count: int = 1, told: str = '') -> None:
        pass

    def note(self, line: str) -> None:
        pass

    def left(self) -> str:
        return ''


class _Bar:
    """In a terminal."""

    def __init__(self, label: str, total: int, unit: str, done: int):
        self._clock = _Clock(total, unit, done)
        self._bar = tqdm.tqdm(
            desc=label,
            total=total,
            initial=done,
            unit=f' {unit}',
            leave=False,
            mininterval=0.5,
            dynamic_ncols=True,
        )

    def advance(self, count: int = 1, told: str = '') -> None:
        self._clock.advance(count)
        self._bar.set_postfix_str(told, refresh=False)
        self._bar.update(count)

    def note(self, line: str) -> None:
        _write(line, sys.stdout)

    def left(self) -> str:
        return self._clock.left()

    def __enter__(self) -> '_Bar':
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()


class _Lines:
    """Elsewhere."""

    def __init__(self, label: str, total: int, unit: str, done: int):
        self._label, self._total, self._unit = label, total, unit
        self._clock = _Clock(total, unit, done)
        self._start = time.monotonic()
        self._next = self._start + FIRST_SECONDS
        self._told = False

    def advance(self, count: int = 1, told: str = '') -> None:
        self._clock.advance(count)
        if time.monotonic() < self._next:
            return
        done, total = self._clock.done, self._total
        parts = f'{done} of {total} {self._unit}', f'{done / total:.0%}', self._clock.left(), told
        self._tell(', '.join(filter(None, parts)))
        self._next = time.monotonic() + SECONDS

    def note(self, line: str) -> None:
        _write(line, sys.stdout)

    def left(self) -> str:
        return self._clock.left()

    def end(self) -> None:
        if self._told:
            spent = _interval(time.monotonic() - self._start)
            self._tell(f'{self._clock.done} of {self._total} {self._unit} in {spent}')

    def _tell(self, text: str) -> None:
        self._told = True
        _write(f'{self._label}: {text}', sys.stderr)


def _write(line: str, file: TextIO) -> None:
    """Writes a line above the bars, if there are any, at once."""
    tqdm.tqdm.write(line, file)
    file.flush()
