"""How a command runs on several hosts, one process on each.

JAX's service for many hosts ends a process where it stands when another host is gone, with
twenty lines and a core dump. So a command runs in a process of its own, whose end is reported
here in one line.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator

from absl import flags

from ocelot_jax.io.errors import InputError

# the command's own, which its help lists
flags.disclaim_key_flags()

HEARTBEAT_TIMEOUT = 30
"""Seconds after which a host that is silent counts as gone; one that ended is noticed sooner."""

_LOST = (
    'another host of this run is gone, so this one ends, too; started again on all hosts, or on '
    'others, the same command goes on from the last checkpoint'
)
# what JAX's services say when a host is gone, whichever notices first
_SIGNS = ('coordination', 'heartbeat', 'Gloo', 'gloo', 'Barrier', 'barrier', 'NCCL', 'preempted')
_LOST_STATUS = 75  # sysexits.h: a temporary failure, try again
_FATAL = 'JAX distributed service detected fatal errors'
_PLACE = ('coordinator_address', 'num_processes', 'process_id')
_STDERR = 'OCELOT_JAX_STDERR'


def define_flags() -> None:
    """Defines the flags of a command that several hosts can run together."""
    flags.DEFINE_bool('distributed', False, 'Whether other hosts run this too.')
    flags.DEFINE_string('coordinator_address', None, "The first host's, HOST:PORT.")
    flags.DEFINE_integer('num_processes', None, 'Number of hosts.', lower_bound=1)
    flags.DEFINE_integer('process_id', None, 'Which host this is, from 0.', lower_bound=0)


def supervise() -> None:
    """Where there are other hosts, returns in another process, whose end this one reports.

    Raises:
        InputError: flags for several hosts are given without `--distributed`.
    """
    values = flags.FLAGS
    if values.distributed:
        if _STDERR not in os.environ:
            sys.exit(_run_supervised())
        _follow_supervisor()
        return
    for name in _PLACE:
        if values[name].value is not None:
            raise InputError(f'--{name}: is for several hosts; want --distributed beside it')


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Within the context this process and those of the other hosts are one, if flags say so.

    Whatever is raised ends the process and so, within `HEARTBEAT_TIMEOUT`, the others.

    Raises:
        InputError: it is not known where the other hosts are, or they do not come.
    """
    if not flags.FLAGS.distributed:
        yield
        return
    _initialize(*(flags.FLAGS[name].value for name in _PLACE))

    try:
        yield
    except Exception as error:
        status = 1
        if isinstance(error, InputError):
            print(f'error: {error}', file=sys.stderr)
        elif any(sign in str(error) for sign in _SIGNS):
            status = _LOST_STATUS
        else:
            traceback.print_exc()
        # at once: JAX would wait for the other hosts, which are gone, or wait for this one
        sys.stdout.flush()
        os._exit(status)


def _initialize(address: str | None, num_processes: int | None, process_id: int | None) -> None:
    import jax

    local = address is not None and address.rpartition(':')[0] in ('127.0.0.1', 'localhost')
    try:
        jax.distributed.initialize(
            address,
            num_processes,
            process_id,
            heartbeat_timeout_seconds=HEARTBEAT_TIMEOUT,
            # JAX would listen on all interfaces
            coordinator_bind_address=address if local else None,
        )
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f'--distributed: {error}; outside of Slurm, MPI, Kubernetes and TPU pods it wants '
            '--coordinator_address=HOST:PORT, --num_processes and --process_id'
        ) from error


def _run_supervised() -> int:
    """Runs this command in another process, passes on what it writes, and gives its status."""
    stderr = os.dup(2)
    held: list[str] = []
    with subprocess.Popen(
        sys.orig_argv,
        env=os.environ | {_STDERR: str(stderr)},
        stderr=subprocess.PIPE,
        pass_fds=[stderr],
        # what C++ writes is not always UTF-8
        text=True,
        errors='replace',
    ) as process:
        os.close(stderr)
        signal.signal(signal.SIGTERM, lambda number, frame: process.terminate())
        # a terminal sends Ctrl-C to both
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for line in process.stderr or ():
            # what follows may be the end of it, which is told in one line then
            if held or 'coordination' in line:
                held.append(line)
            else:
                sys.stderr.write(line)
                sys.stderr.flush()
    status = process.returncode
    if status == _LOST_STATUS or any(_FATAL in line for line in held):
        print(f'error: {_LOST}', file=sys.stderr)
        return 1
    sys.stderr.writelines(held)
    return status if status >= 0 else 128 - status  # as a shell tells of a signal


def _follow_supervisor() -> None:
    """Lets Python write where the supervisor does, and ends with it."""
    # tqdm and errors are seen at once; C++ and crashes write to the supervisor
    sys.stderr = os.fdopen(int(os.environ[_STDERR]), 'w', buffering=1)
    if sys.platform == 'linux':
        set_death_signal = 1  # PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)
