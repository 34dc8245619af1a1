"""How every command runs: its flags, how much it tells, and errors as one line."""

import atexit
import gc
import os
import re
import select
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TextIO

from absl import app, flags, logging

from ocelot_jax.io.errors import InputError, MissingFileError

_HELP = ('-h', '-help', '--help', '-helpshort', '--helpshort')

# flags that are defined here are the command's own, which its help lists
flags.disclaim_key_flags()


def run(main: Callable[..., None], positionals: Sequence[str] = ()) -> None:
    """Parses flags and calls `main`.

    Wrong input (`InputError`) ends with one line and status 1, Ctrl-C and SIGTERM with one and
    status 130 and 143, output that nobody reads any more with 141, any other error with its
    traceback. `--quiet` leaves out progress and warnings, `--verbose` shows what the libraries
    note and the traceback of wrong input as well; absl's `--verbosity` is finer. `--help` ends
    with status 0.

    Args:
        main: called with the positional arguments as strings.
        positionals: their names, such as 'DIR'; as many must be given.
    """
    _spare_collections()
    flags.DEFINE_bool('quiet', False, 'Print results and errors alone.')
    flags.DEFINE_bool('verbose', False, 'Print what the libraries note, and where errors arose.')
    app.run(
        lambda argv: _guarded(lambda: main(*argv[1:])),
        flags_parser=lambda argv: _parse(argv, positionals),
    )


def _spare_collections() -> None:
    """Has Python look for cycles of dead objects less often, and not when it ends.

    Imports and tracing make a million objects that live as long as the process: by default to go
    through them, time and again, takes half a second of a start, and another one of the end.
    """
    gc.set_threshold(50_000, 20, 50)
    atexit.register(gc.freeze)


def _parse(argv: list[str], positionals: Sequence[str]) -> list[str]:
    if any(arg in _HELP for arg in argv[1:]):
        # absl's own answer to it ends with status 1
        app.usage(shorthelp=True, writeto_stdout=True)
        sys.exit(0)
    try:
        left = flags.FLAGS(_located(argv))
    except flags.Error as error:
        if 'Traceback' in str(error) and '--verbose' in argv:
            print(error, file=sys.stderr)
        _die(error if 'Traceback' not in str(error) else f'--config: {_raised(error)}')
    # ml_collections reads the configuration and its overrides where the flag is parsed
    except (AttributeError, KeyError) as error:
        if "no attribute 'get_config'" in str(error):
            _die('--config: defines no function get_config; want a configuration, as configs/ has')
        name = str(error).strip('"\'')
        flag = next((arg for arg in argv if arg.partition('=')[0].endswith(f'.{name}')), None)
        _die(f'{flag}: there is no such field in the configuration' if flag else error)
    except MissingFileError as error:
        _die(error)
    except (ImportError, TypeError, ValueError, OSError) as error:
        if '--verbose' in argv:
            traceback.print_exc()
        _die(f'--config: {_raised(error)}')
    if flags.FLAGS.quiet and flags.FLAGS.verbose:
        _die('--quiet, --verbose: contradict each other; want one of them')
    for name in flags.FLAGS:
        # as of --output=$OUT where OUT is not set; a configuration's fields may be empty
        held = flags.FLAGS[name]
        if held.present and held.value == '' and '.' not in name:
            _die(f'--{name}: is empty; want a value, or no such flag')
    given = left[1:]
    if len(given) < len(positionals):
        _die(f'{positionals[len(given)]} is missing; want {" ".join(positionals)} and flags')
    if len(given) > len(positionals):
        beyond = f' and not one of {" ".join(positionals)}' if positionals else ''
        _die(f'argument {given[len(positionals)]!r} is no flag{beyond}; flags begin with --')
    return left


def _located(argv: list[str]) -> list[str]:
    """Replaces a name like `configs/x.py` behind `--config` by where the file is."""
    located = list(argv)
    for index, arg in enumerate(argv):
        flag, equals, name = arg.partition('=')
        if flag not in ('-config', '--config'):
            continue
        from ocelot_jax.runs import config_files  # other commands need not load it

        try:
            if equals:
                located[index] = f'{flag}={config_files.locate(name)}'
            elif index + 1 < len(argv):
                located[index + 1] = config_files.locate(argv[index + 1])
        except MissingFileError as error:
            raise MissingFileError(f'--config: {error}') from None
    return located


def _raised(error: Exception) -> str:
    """What a configuration raised, before which ml_collections puts a traceback."""
    line = str(error).strip().splitlines()[-1]
    return re.sub(r'^ocelot_jax[.\w]+Error: ', '', line)


def _guarded(main: Callable[[], None]) -> None:
    if not flags.FLAGS['verbosity'].present:
        logging.set_verbosity(_verbosity())
    from tqdm.contrib import DummyTqdmFile  # --help need not load it

    # what is logged stands above a bar, not at its end
    logging.get_absl_handler().python_handler.setStream(DummyTqdmFile(sys.stderr))
    # of a scheduler: workers end with the command, and half-written files go, as at Ctrl-C
    signal.signal(signal.SIGTERM, _terminate)
    try:
        main()
        sys.stdout.flush()
    except InputError as error:
        logging.debug('', exc_info=True)
        _die(error)
    except BrokenPipeError:
        if not _is_cut(sys.stdout):
            raise
        # what is still to be written would fail once more when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except KeyboardInterrupt as error:
        number = signal.SIGTERM if isinstance(error, _Terminated) else signal.SIGINT
        print(f'error: interrupted by {number.name}', file=sys.stderr)
        sys.exit(128 + number)


def _is_cut(file: TextIO) -> bool:
    """Whether a file is a pipe that nobody reads any more, as behind `| head`."""
    poll = select.poll()
    poll.register(file, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _verbosity() -> int:
    if flags.FLAGS.quiet:
        return logging.ERROR
    return logging.DEBUG if flags.FLAGS.verbose else logging.WARNING


class _Terminated(KeyboardInterrupt):
    """SIGTERM, where nothing else answers it."""


def _terminate(number: int, frame: FrameType | None) -> None:
    raise _Terminated


def _die(message: object) -> None:
    print(f'error: {message}', file=sys.stderr)
    sys.exit(1)
