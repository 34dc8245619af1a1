"""How every command answers: help, what is mistyped, what the user can mend, and bugs."""

import pytest

from ocelot_jax import __main__ as overview

COMMANDS = [name for name, _ in overview.list_commands()]

COMMAND = """
from absl import flags, logging
from ocelot_jax.cli import app
from ocelot_jax.io import errors
flags.DEFINE_string('output', 'none', 'Where to.')
flags.DEFINE_integer('count', 1, 'How many.')
def main(*given):
    BODY
app.run(main, positionals=NAMES)
"""


def source(names=(), body='print(*given, flags.FLAGS.output)'):
    return COMMAND.replace('NAMES', repr(list(names))).replace('BODY', body)


@pytest.mark.parametrize('command', COMMANDS)
def test_help_explains_and_ends_well(commands, command):
    done = commands.run(command.removeprefix('python -m '), '--help')
    assert done.returncode == 0, done.stderr
    assert done.stderr == ''
    assert f'{command} ' in done.stdout
    assert '\nflags:\n' in done.stdout


def test_the_package_lists_its_commands(commands):
    done = commands.run('ocelot_jax.__main__')
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert len(COMMANDS) == 12
    for command, line in zip(COMMANDS, lines[: len(COMMANDS)], strict=True):
        assert line.startswith(f'{command}  ')
        assert len(line) < 120


@pytest.mark.parametrize(
    ('names', 'arguments', 'printed'),
    [
        (['DIR'], ['runs', '--output=x'], 'runs x'),
        (['DIR'], ['--output=x', 'runs'], 'runs x'),
        (['A', 'B'], ['one', '--output', 'x', 'two'], 'one two x'),
        ([], ['--output=x'], 'x'),
    ],
)
def test_arguments_without_flags_are_passed_on_wherever_they_stand(
    commands, names, arguments, printed
):
    assert commands.run(source(names), *arguments).stdout == f'{printed}\n'


@pytest.mark.parametrize(
    ('names', 'arguments', 'told'),
    [
        (['DIR'], [], 'error: DIR is missing; want DIR and flags'),
        (['A', 'B'], ['one'], 'error: B is missing; want A B and flags'),
        (['DIR'], ['a', 'b'], "error: argument 'b' is no flag and not one of DIR; flags begin"),
        ([], ['a'], "error: argument 'a' is no flag; flags begin with --"),
        ([], ['--outptu=x'], "error: Unknown command line flag 'outptu'. Did you mean: output"),
        ([], ['--count=x'], 'error: flag --count=x: '),
    ],
)
def test_what_is_mistyped_is_one_line(commands, names, arguments, told):
    done = commands.run(source(names), *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(told)
    assert done.stderr.count('\n') == 1


@pytest.mark.parametrize(
    'error',
    [
        'errors.InputError',
        'errors.MissingFileError',
        'errors.MissingPackageError',
        'errors.OutputError',
    ],
)
def test_what_the_user_can_mend_is_one_line(commands, error):
    body = f'raise {error}("x.csv: 3 columns; want 4")'
    done = commands.run(source(body=body))
    assert (done.returncode, done.stderr) == (1, 'error: x.csv: 3 columns; want 4\n')
    done = commands.run(source(body=body), '--verbose')
    assert 'Traceback' in done.stderr
    assert done.stderr.endswith('error: x.csv: 3 columns; want 4\n')


@pytest.mark.parametrize(
    ('arguments', 'told'),
    [
        ([], ['watch out', '3 of 3 pairs, 100%', '3 of 3 pairs in']),
        (['--quiet'], []),
        (['--verbose'], ['watch out', 'noted', 'also', '3 of 3 pairs, 100%', '3 of 3 pairs in']),
        (['--quiet', '--verbosity=-1'], ['watch out', '3 of 3 pairs, 100%', '3 of 3 pairs in']),
        (['--quiet', '--verbose'], ['error: --quiet, --verbose: contradict each other; want one']),
    ],
)
def test_how_much_is_told(commands, arguments, told):
    """And no control character is in it, for it goes to a file."""
    lines = [
        'from ocelot_jax.io import progress',
        'progress.FIRST_SECONDS = 0',
        'logging.warning("watch out")',
        'logging.info("noted")',
        'logging.debug("also")',
        'with progress.show("b", 3, "pairs") as shown: shown.advance(3)',
        'print("result")',
    ]
    done = commands.run(source(body='\n    '.join(lines)), *arguments)
    assert done.stdout == ('' if done.returncode else 'result\n')
    assert all(each in line for each, line in zip(told, done.stderr.splitlines(), strict=True))
    assert not any(c < ' ' and c != '\n' for c in done.stderr)


def test_an_empty_flag_is_told(commands):
    """As of a shell's variable that is not set."""
    done = commands.run(source(), '--output=')
    assert (done.returncode, done.stdout) == (1, '')
    assert done.errors == ['error: --output: is empty; want a value, or no such flag']


@pytest.mark.parametrize('error', ['ValueError', 'OSError', 'RuntimeError', 'ImportError'])
def test_a_bug_ends_with_its_traceback(commands, error):
    done = commands.run(source(body=f'raise {error}("shapes differ")'))
    assert done.returncode == 1
    assert done.stderr.startswith('Traceback')
    assert done.stderr.endswith(f'{error}: shapes differ\n')
    assert done.errors == []


@pytest.mark.parametrize(
    ('write', 'status', 'told'),
    [('os.dup2(there, 1); print("x")', 141, ''), ('os.write(there, b"x")', 1, 'BrokenPipeError')],
)
def test_who_reads_no_more_of_the_output_is_told_nothing(commands, write, status, told):
    """As `| head`; a pipe of the command's own is a bug."""
    lines = ['import os', 'read, there = os.pipe()', 'os.close(read)', write]
    done = commands.run(source(body='\n    '.join(lines)))
    assert done.returncode == status
    assert (told in done.stderr) if told else not done.stderr


@pytest.mark.parametrize(('name', 'status'), [('SIGINT', 130), ('SIGTERM', 143)])
@pytest.mark.parametrize('wait', ['time.sleep(9)', 'concurrent.futures.wait([pool.submit(nap)])'])
def test_ctrl_c_and_sigterm_end_with_one_line_after_what_is_to_be_done(
    commands, name, status, wait
):
    """Files that are half written go, and what threads are at is waited for."""
    lines = [
        'import concurrent.futures, os, signal, threading, time',
        'nap = lambda: time.sleep(0.2)',
        'signal.signal(signal.SIGINT, signal.default_int_handler)',  # jobs of shells ignore it
        f'stop = lambda: os.kill(os.getpid(), signal.{name})',
        'threading.Timer(0.1, stop).start()',
        'with concurrent.futures.ThreadPoolExecutor() as pool:',
        f'    try: {wait}',
        '    finally: print("done", flush=True)',
    ]
    done = commands.run(source(body='\n    '.join(lines)))
    assert (done.returncode, done.stdout) == (status, 'done\n')
    assert done.stderr == f'error: interrupted by {name}\n'
