"""How the end of a host's process is told, with processes that end as JAX's do."""

import signal
import sys

import pytest

from ocelot_jax.cli import hosts

SAYS_AND_ABORTS = """
import os, sys
print('a warning', file=sys.stderr)
print('E1127 coordination_service_agent.cc:289] Polled an error', file=sys.stderr)
print({message!r}, file=sys.stderr)
print('*** Check failure stack trace: ***', file=sys.stderr, flush=True)
os.abort()
"""
LOST = 'F1127 client.h:80] Terminating process because the JAX distributed service detected '
LOST += 'fatal errors. This most likely indicates that another task died'
OTHER = 'F1127 something else'


@pytest.fixture
def supervise(monkeypatch):
    """Supervises Python code in place of this process's command."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def run(code):
        monkeypatch.setattr(sys, 'orig_argv', [sys.executable, '-c', code])
        return hosts._run_supervised()

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_the_loss_of_another_host_is_one_line(supervise, capsys):
    assert supervise(SAYS_AND_ABORTS.format(message=LOST)) == 1
    warning, line = capsys.readouterr().err.splitlines()
    assert warning == 'a warning'
    assert line.startswith('error: another host of this run is gone')
    assert 'goes on from the last checkpoint' in line


def test_any_other_crash_keeps_what_it_says(supervise, capsys):
    assert supervise(SAYS_AND_ABORTS.format(message=OTHER)) == 128 + signal.SIGABRT
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    assert lines[2] == OTHER


def test_a_status_is_passed_on(supervise):
    assert supervise('') == 0
    assert supervise('raise SystemExit(3)') == 3


def test_a_place_among_hosts_wants_hosts(commands):
    done = commands.run('ocelot_jax.main', '--config=configs/demo.py', '--process_id=0')
    assert done.returncode == 1
    assert done.stderr == (
        'error: --process_id: is for several hosts; want --distributed beside it\n'
    )
