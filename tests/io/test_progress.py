"""How far work is: a bar in a terminal, plain lines elsewhere, nothing where quiet is wanted."""

import contextlib
import fcntl
import os
import struct
import sys
import termios

import pytest
from absl import logging

from ocelot_jax.io import progress


@pytest.fixture
def clock(monkeypatch):
    """The time, which goes on when it is told to."""
    now = [100.0]
    monkeypatch.setattr(progress.time, 'monotonic', lambda: now[0])
    return now


@contextlib.contextmanager
def terminal(monkeypatch):
    """Within it standard error is a terminal of 80 columns; after it `seen` has what is there."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 80, 0, 0))
    seen = []
    # not in a fixture, after which pytest puts its own in place again
    with os.fdopen(theirs, 'w') as file, monkeypatch.context() as patched:
        patched.setattr(sys, 'stderr', file)
        yield seen
    with os.fdopen(ours, 'rb', buffering=0) as file, contextlib.suppress(OSError):  # at its end
        while part := file.read(1 << 16):
            seen.append(part.decode())


def test_a_file_gets_a_line_after_five_seconds_and_then_every_half_minute(clock, capsys):
    with progress.show('training', 48, 'pairs', done=8) as shown:
        for _ in range(10):
            clock[0] += 4
            shown.advance(4, 'loss 0.500')
    assert capsys.readouterr().err.splitlines() == [
        # the first part, which compiles, tells nothing of the rate
        'training: 16 of 48 pairs, 33%, 1 pairs/s, 00:32 left, loss 0.500',
        'training: 48 of 48 pairs, 100%, loss 0.500',
        'training: 48 of 48 pairs in 00:40',
    ]


def test_what_takes_minutes_is_told_by_the_piece(clock, capsys):
    with progress.show('sweep', 4, 'runs') as shown:
        for _ in range(2):
            clock[0] += 1100
            shown.advance()
    lines = capsys.readouterr().err.splitlines()
    assert lines[1] == 'sweep: 2 of 4 runs, 50%, 18:20 each, 36:40 left'


def test_a_file_gets_nothing_of_what_is_done_at_once(capsys):
    assert list(progress.track('abc', 'counting', 3, 'pairs')) == ['a', 'b', 'c']
    assert capsys.readouterr() == ('', '')


def test_no_end_is_told_of_what_failed(clock, capsys):
    def fail(_):
        clock[0] += 9
        raise KeyError

    with pytest.raises(KeyError):
        list(progress.track(map(fail, 'ab'), 'training', 2, 'pairs'))
    assert capsys.readouterr() == ('', '')


def test_a_terminal_shows_a_bar_that_goes(monkeypatch, capsys):
    with terminal(monkeypatch) as parts, progress.show('training', 4, 'pairs') as shown:
        shown.advance(2, 'loss 0.500')
        shown.note('epoch 1')
    seen = ''.join(parts)
    assert seen.startswith('\rtraining:   0%')
    assert ' 50%' in seen
    # the bar is wiped away
    assert seen.rstrip(' ').endswith('\r')
    assert capsys.readouterr().out == 'epoch 1\n'


@pytest.mark.parametrize('why', ['verbosity', 'TQDM_DISABLE', 'another'])
@pytest.mark.parametrize('where', ['file', 'terminal'])
def test_nothing_is_told_where_quiet_is_wanted(clock, capsys, monkeypatch, why, where):
    if why == 'TQDM_DISABLE':
        monkeypatch.setenv('TQDM_DISABLE', '1')
    monkeypatch.setattr(logging, 'get_verbosity', lambda: -2 if why == 'verbosity' else -1)
    with (
        terminal(monkeypatch) if where == 'terminal' else contextlib.nullcontext() as seen,
        progress.show('training', 4, 'pairs', shown=why != 'another') as shown,
    ):
        clock[0] += 60
        shown.advance(2)
        shown.note('epoch 1')
        assert shown.left() == ''
    assert not seen
    assert capsys.readouterr() == ('', '')
