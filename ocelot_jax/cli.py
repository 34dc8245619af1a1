"""What the commands share: flags, and errors as one line."""

import sys
from collections.abc import Callable

from absl import app, flags, logging


def run(main: Callable[[], None]) -> None:
    """Parses flags and calls `main`; wrong input ends with one line and status 1.

    With `--verbosity=1` the traceback is shown too. Libraries' notes are shown from
    `--verbosity=0`.
    """
    flags.FLAGS.set_default('verbosity', logging.WARNING)
    app.run(lambda argv: _guarded(main), flags_parser=_parse)


def _parse(argv: list[str]) -> list[str]:
    try:
        left = flags.FLAGS(argv)
        # ml_collections reads the file and its overrides where the flag is parsed
    except flags.Error as error:
        _die(error)
    except (AttributeError, KeyError, TypeError, ValueError, FileNotFoundError) as error:
        _die(f'--config: {error}')
    if left[1:]:
        _die(f'argument {left[1]!r} is no flag; flags begin with --')
    return left


def _guarded(main: Callable[[], None]) -> None:
    try:
        main()
    except (FileNotFoundError, FileExistsError, ValueError, RuntimeError) as error:
        logging.debug('', exc_info=True)
        if '\n' in str(error):  # not one of ours
            raise
        _die(error)


def _die(message: object) -> None:
    print(f'error: {message}', file=sys.stderr)
    sys.exit(1)
