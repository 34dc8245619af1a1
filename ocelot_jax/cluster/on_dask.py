"""Runs tasks on Dask's workers.

Every worker prepares itself once, before its first task; one that was started anew prepares
itself again. The scheduler gives each task to one worker, and to another if that dies.
"""

import contextlib
import itertools
import logging
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dask
from distributed import (
    Client,
    Future,
    KilledWorker,
    LocalCluster,
    WorkerPlugin,
    as_completed,
    get_worker,
)

from ocelot_jax.cluster.pool import Ended, Failure, Perform, Prepare, failed
from ocelot_jax.io.errors import InputError

_LOOPBACK = '127.0.0.1'
# Tasks that the scheduler knows at a time: what it and the client hold of them takes memory.
_AHEAD = 1000
_CONNECT_SECONDS = 30
_SETTINGS = {
    # a task whose worker died is done once more, alone: see `_Runs`
    'distributed.scheduler.allowed-failures': 0,
    # none waits in a worker while another worker is free
    'distributed.scheduler.worker-saturation': 1.0,
}


@contextlib.contextmanager
def connect(count: int | None, scheduler: str | None) -> Iterator[Client]:
    """Connects with a scheduler, or with a cluster of its own that ends with the block.

    Args:
        count: so many processes are started, which other machines cannot reach.
        scheduler: address of the scheduler where none is started.

    Raises:
        InputError: there is no scheduler at this address.
    """
    with _exit_on_sigterm(), _silence(), contextlib.ExitStack() as stack:
        address: Any = scheduler
        if scheduler is None:
            stack.enter_context(dask.config.set(_SETTINGS))
            address = stack.enter_context(_start(count))
        try:
            client = stack.enter_context(Client(address, timeout=_CONNECT_SECONDS))
        except (OSError, ValueError) as error:
            reason = ' '.join(str(error).split())
            raise InputError(
                f'--scheduler: {scheduler}: no Dask scheduler is there ({reason})'
            ) from error
        yield client


@contextlib.contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    """Lets SIGTERM leave the block, so that no worker stays behind."""
    if threading.current_thread() is not threading.main_thread():
        yield  # another thread may set no handler
        return
    previous = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keeps Dask's own words from the terminal: of failures we tell ourselves."""
    loggers = [logging.getLogger(name) for name in ('distributed', 'distributed.client')]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _start(count: int | None) -> LocalCluster:
    return LocalCluster(
        n_workers=count,
        threads_per_worker=1,
        host=_LOOPBACK,
        dashboard_address=f'{_LOOPBACK}:0',
        # what a worker may use is not known; at a limit Dask would give it no more tasks
        memory_limit=None,
        silence_logs='CRITICAL',
        # the bars of several processes would write over each other
        env={'TQDM_DISABLE': '1'},
    )


@contextlib.contextmanager
def open_pool(client: Client, prepare: Prepare, label: str) -> Iterator['_Pool']:
    """Gives what runs tasks on a scheduler's workers, see `pool.open_pool`."""
    # commands may share a scheduler; its dashboard shows what is before the hyphen
    group = f'{label}-{uuid.uuid4().hex}'
    client.register_plugin(_Prepared(prepare), name=group)
    try:
        yield _Pool(client, group)
    finally:
        if client.cluster is None:
            _leave(client, group)


def _leave(client: Client, group: str) -> None:
    """Leaves workers that stay as they were, those anew that are still at our tasks.

    A thread cannot be stopped, and what it is at would go on beside whoever does it next.
    """
    with contextlib.suppress(Exception):  # lest it hides why we leave
        busy = [
            worker
            for worker, keys in client.processing().items()
            if any(isinstance(key, tuple) and key[0] == group for key in keys)
        ]
        if busy:
            client.restart_workers(busy, timeout=_CONNECT_SECONDS, raise_for_error=False)
        client.unregister_worker_plugin(group)


class _Failed(Exception):
    """A task failed; holds a `Failure`, and whether it was the worker that could not be prepared.

    An exception of any class could not be sent: it takes its cause and context along, and some
    of ours, of two bases, are not rebuilt.
    """


class _Prepared(WorkerPlugin):
    """Keeps on a worker what performs its tasks."""

    def __init__(self, prepare: Prepare):
        self._prepare = prepare
        self._perform: Perform | None = None

    def perform(self, name: str, payload: Any) -> tuple[Any, float]:
        """Performs a task; gives what it returned and the seconds that it took."""
        try:
            if self._perform is None:
                self._perform = self._prepare_here()
            start = time.monotonic()
            value = self._perform(name, payload)
            return value, time.monotonic() - start
        except Exception as error:
            failure = Failure.of(error)
        # not above, where it would take the other along
        raise _Failed(failure, self._perform is None)

    def _prepare_here(self) -> Perform:
        count = get_worker().state.nthreads
        if count != 1:
            raise InputError(
                f'runs {count} tasks at a time; want one, as of `dask worker --nthreads=1`'
            )
        return self._prepare()


def _perform(name: str, payload: Any, group: str) -> tuple[Any, float]:
    return get_worker().plugins[group].perform(name, payload)


class _Pool:
    """Runs tasks on Dask's workers."""

    def __init__(self, client: Client, group: str):
        self._client = client
        self._group = group

    @property
    def about(self) -> str:
        """How many workers there are, where, and where to watch them."""
        count = len(self._client.scheduler_info(n_workers=-1)['workers'])
        address = self._client.scheduler.address
        return f'{count} workers of {address}, to be watched at {self._client.dashboard_link}'

    def run(
        self, tasks: Mapping[str, Any], begin: Callable[[str], None] = lambda name: None
    ) -> Iterator[Ended]:
        died = {}
        for name, ended in self._run(tasks, _AHEAD):
            if ended is None:
                died[name] = tasks[name]
            else:
                begin(name)
                yield ended
        # A worker's death is laid to every task that it held: done alone, only the one that
        # killed it is left. One that was short of memory beside others has it all.
        for name, ended in self._run(died, 1):
            begin(name)
            yield ended or Ended(name, error='killed its worker, when done again alone, too')

    def _run(self, tasks: Mapping[str, Any], ahead: int) -> Iterator[tuple[str, Ended | None]]:
        """Runs tasks, so many known to the scheduler at a time; None where the worker died."""
        left = iter(tasks.items())
        running = as_completed(
            self._submit(itertools.islice(left, ahead)), with_results=True, raise_errors=False
        )
        for future, result in running:
            running.update(self._submit(itertools.islice(left, 1)))
            name = future.key[1]
            if future.status == 'finished':
                value, seconds = result
                yield name, Ended(name, value, seconds=seconds)
            elif future.status == 'error':
                yield name, _failed(name, result[1].with_traceback(result[2]))
            else:
                raise InputError(
                    'the Dask scheduler has gone; what is done is kept, and the same command '
                    'goes on there'
                )

    def _submit(self, tasks: Iterator[tuple[str, Any]]) -> list[Future]:
        held = list(tasks)
        if not held:
            return []
        names, payloads = zip(*held, strict=True)
        keys = [(self._group, name) for name in names]
        return self._client.map(_perform, names, payloads, key=keys, group=self._group, pure=False)


def _failed(name: str, error: BaseException) -> Ended | None:
    """Tells of a task that failed; None where its worker died.

    Raises:
        InputError: the worker could not be prepared, for a reason that the user can mend.
        RuntimeError: the same, for a bug.
    """
    if isinstance(error, KilledWorker):
        return None
    if not isinstance(error, _Failed):
        raise error
    failure, unprepared = error.args
    if not unprepared:
        return failed(name, failure)
    if failure.trace is None:
        raise InputError(f'a worker: {failure.line}')
    raise RuntimeError(f'a worker could not be prepared\n{failure.trace}')
