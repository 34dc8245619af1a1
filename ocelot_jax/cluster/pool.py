"""Runs tasks that do not need one another: one interface, whoever runs them."""

import contextlib
import dataclasses
import importlib.util
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from absl import logging

from ocelot_jax.io.errors import InputError, MissingPackageError

# Does a task, by its name and what else it is given.
Perform = Callable[[str, Any], Any]
Prepare = Callable[[], Perform]


@dataclasses.dataclass(frozen=True)
class Workers:
    """Who runs the tasks: this process, one after the other, where both are None.

    Attributes:
        count: so many processes that are started on this machine.
        scheduler: address of a Dask scheduler, whose workers run them.

    Raises:
        InputError: both are given, or there is no worker.
    """

    count: int | None = None
    scheduler: str | None = None

    def __post_init__(self) -> None:
        if self.count is not None and self.scheduler is not None:
            raise InputError(
                '--workers starts a cluster, --scheduler uses one that is there; want one of them'
            )
        if self.count is not None and self.count < 1:
            raise InputError(f'--workers: {self.count}; want 1 or more')

    @property
    def here(self) -> bool:
        """Whether this process runs the tasks itself."""
        return self.count is None and self.scheduler is None


HERE = Workers()


@dataclasses.dataclass(frozen=True)
class Ended:
    """What became of a task.

    Attributes:
        name: of the task.
        value: what it returned; None where it failed.
        error: why it failed, in one line; None where it did not.
        seconds: that it took; None where it failed.
    """

    name: str
    value: Any = None
    error: str | None = None
    seconds: float | None = None


class Pool(Protocol):
    """Runs tasks, and tells of each as it ends.

    Attributes:
        about: who runs them, in a line for people; None where it is this process.
    """

    @property
    def about(self) -> str | None: ...

    def run(
        self, tasks: Mapping[str, Any], begin: Callable[[str], None] = lambda name: None
    ) -> Iterator[Ended]:
        """Runs tasks, each once, in any order.

        A task that raises has failed, and the others go on; what is no `InputError` is logged
        with its traceback.

        Args:
            tasks: what `perform` is given of each, by its name.
            begin: called with a task's name before it is run; on a cluster, where that is not
                known, once it has ended.

        Raises:
            InputError: the tasks cannot be run at all.
        """


@contextlib.contextmanager
def open_pool(workers: Workers, prepare: Prepare, label: str) -> Iterator[Pool]:
    """Gives what runs tasks, until the block ends; what runs then is stopped.

    Args:
        workers: who runs them.
        prepare: makes what performs a task, once in every process that runs some. On a cluster
            it is sent there: a function of a module, or a `functools.partial` of one.
        label: what the tasks are called together, for people.

    Raises:
        MissingPackageError: Dask is not installed.
        InputError: there is no such scheduler.
    """
    if workers.here:
        yield _Here(prepare)
        return
    if importlib.util.find_spec('distributed') is None:
        raise MissingPackageError(
            "--workers, --scheduler: Dask is not installed; pip install 'ocelot_jax[cluster]'"
        )
    from ocelot_jax.cluster import on_dask  # slow to load, and not always installed

    with (
        on_dask.connect(workers.count, workers.scheduler) as client,
        on_dask.open_pool(client, prepare, label) as pool,
    ):
        yield pool


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why a task failed.

    Attributes:
        line: for people.
        trace: the traceback of a bug; None where the user can mend it.
    """

    line: str
    trace: str | None

    @classmethod
    def of(cls, error: Exception) -> 'Failure':
        """Describes an exception that is being handled."""
        if isinstance(error, InputError):
            return cls(str(error), None)
        line = ' '.join(f'{type(error).__name__}: {error}'.split())
        return cls(line, traceback.format_exc())


def failed(name: str, failure: Failure) -> Ended:
    """Tells of a task that failed; the traceback of a bug is logged."""
    if failure.trace is not None:
        logging.error('%s failed\n%s', name, failure.trace)
    return Ended(name, error=failure.line)


class _Here:
    """Runs tasks in this process."""

    about = None

    def __init__(self, prepare: Prepare):
        self._prepare = prepare
        self._perform: Perform | None = None

    def run(
        self, tasks: Mapping[str, Any], begin: Callable[[str], None] = lambda name: None
    ) -> Iterator[Ended]:
        if self._perform is None:
            self._perform = self._prepare()
        for name, payload in tasks.items():
            begin(name)
            start = time.monotonic()
            try:
                value = self._perform(name, payload)
            except Exception as error:
                yield failed(name, Failure.of(error))
            else:
                yield Ended(name, value, seconds=time.monotonic() - start)
