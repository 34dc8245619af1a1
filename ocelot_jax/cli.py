"""What the commands share: flags, errors as one line, and how a process is set up."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from absl import app, flags, logging


def run(main: Callable[..., None], positionals: Sequence[str] = ()) -> None:
    """Parses flags and calls `main`; wrong input ends with one line and status 1.

    `--verbosity=0` shows what the libraries note, `--verbosity=1` an error's traceback.

    Args:
        main: called with the positional arguments as strings.
        positionals: what they are called, such as 'DIR'; as many must be given.
    """
    app.run(
        lambda argv: _guarded(lambda: main(*argv[1:])),
        flags_parser=lambda argv: _parse(argv, positionals),
    )


def use_huge_pages() -> None:
    """Starts the program anew with working memory in huge pages, where the C library is glibc.

    A training step takes and returns gigabytes. In pages of 4 KiB the kernel's work on them is a
    quarter of the step on two CPU cores. glibc reads the setting at the start of a process alone;
    where the variable is set already, it is left as it is.
    """
    if sys.platform != 'linux' or 'GLIBC_TUNABLES' in os.environ:
        return
    os.environ['GLIBC_TUNABLES'] = 'glibc.malloc.hugetlb=1'
    os.execv(sys.executable, sys.orig_argv)


def keep_compilations(folder: Path) -> None:
    """Keeps compiled programs in `<folder>/compilation_cache`, for the next start to find.

    A folder that `JAX_COMPILATION_CACHE_DIR` names is used instead.
    """
    import jax  # slow to load, and the flags are read before

    if not jax.config.jax_compilation_cache_dir:
        jax.config.update('jax_compilation_cache_dir', str(folder / 'compilation_cache'))
        # small programs too: what takes less than the default second adds up
        jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.1)


def _parse(argv: list[str], positionals: Sequence[str]) -> list[str]:
    try:
        left = flags.FLAGS(argv)
    except flags.Error as error:
        _die(error)
    # ml_collections reads the configuration and its overrides where the flag is parsed
    except (AttributeError, KeyError) as error:
        name = str(error).strip('"\'')
        given = next((arg for arg in argv if arg.partition('=')[0].endswith(f'.{name}')), None)
        _die(f'{given}: there is no such field in the configuration' if given else error)
    except (ImportError, TypeError, ValueError, OSError) as error:
        # ml_collections puts a traceback before what a configuration raises
        _die(f'--config: {str(error).strip().splitlines()[-1]}')
    given = left[1:]
    if len(given) < len(positionals):
        _die(f'{positionals[len(given)]} is missing; want {" ".join(positionals)} and flags')
    if len(given) > len(positionals):
        beyond = f' and not one of {" ".join(positionals)}' if positionals else ''
        _die(f'argument {given[len(positionals)]!r} is no flag{beyond}; flags begin with --')
    return left


def _guarded(main: Callable[[], None]) -> None:
    if not flags.FLAGS['verbosity'].present:
        logging.set_verbosity(logging.WARNING)
    try:
        main()
    except (OSError, ValueError, RuntimeError) as error:
        logging.debug('', exc_info=True)
        if '\n' in str(error):  # not one of ours
            raise
        _die(error)


def _die(message: object) -> None:
    print(f'error: {message}', file=sys.stderr)
    sys.exit(1)
