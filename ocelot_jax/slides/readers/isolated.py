"""Reads slides in a process of its own, so that a file that crashes a library costs one slide.

OpenSlide and the decoders below it are C; a damaged file can end the process that reads it. The
process here imports no JAX and is kept for many slides; after a death another takes its place.
"""

import contextlib
import functools
import logging
import os
import pickle
import queue
import signal
import socket
import subprocess
import sys
import threading
import traceback
import weakref
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ocelot_jax.io import cores
from ocelot_jax.io.errors import InputError
from ocelot_jax.slides import readers
from ocelot_jax.slides.readers import base

# A process that closed a connection is about to end.
_SECONDS = 2.0
_SERVE = 'import sys; from ocelot_jax.slides.readers import isolated; isolated.serve(sys.argv[1:])'


class ReadingProcess:
    """A process that opens and reads slides, started with the first; for many threads at once.

    It ends with this object, or when this process is gone.
    """

    def __init__(self) -> None:
        self._served: _Served | None = None
        self._lock = threading.Lock()

    def open(self, path: Path) -> readers.Reader:
        """Opens a slide there; otherwise as `readers.open_reader`."""
        with self._lock:
            if self._served is None or self._served.is_over:
                self._served = _Served()
        return _Reader(self._served, path)

    def kill(self) -> None:
        """Ends the process amid what it reads; whoever waits for that gets an InputError."""
        with self._lock:
            if self._served is not None:
                self._served.kill()


class _Reader(base.Reader):
    """A slide that is open in the process; see `base.Reader`."""

    def __init__(self, served: '_Served', path: Path):
        self._path, self._ask = path, functools.partial(served.ask, path)
        self._number = self._ask('open', path)
        self.levels = self._ask('levels', self._number)

    def mpp(self) -> tuple[float, float] | None:
        return self._ask('mpp', self._number)

    def bounds(self) -> tuple[int, int, int, int] | None:
        return self._ask('bounds', self._number)

    def region(self, level: int, x: int, y: int, width: int, height: int) -> Image.Image:
        return self._ask('region', self._number, level, x, y, width, height)

    def resample(
        self, level: int, place: base.Box, size: tuple[int, int], box: base.Corners
    ) -> np.ndarray:
        # there, so that this process has its hands free and less is sent
        return self._ask('resample', self._number, level, place, size, box)

    def close(self) -> None:
        with contextlib.suppress(InputError):  # the process is gone, and the slide with it
            self._ask('close', self._number)


class _Served:
    """The process, and as many connections to it as there are cores."""

    def __init__(self) -> None:
        pairs = [socket.socketpair() for _ in range(cores.count())]
        there = [pair[1] for pair in pairs]
        self._process = subprocess.Popen(
            [sys.executable, '-c', _SERVE, *(str(end.fileno()) for end in there)],
            env=os.environ | {'PYTHONPATH': os.pathsep.join(filter(None, sys.path))},
            pass_fds=[end.fileno() for end in there],
            stdin=subprocess.DEVNULL,
        )
        for end in there:
            end.close()
        connections = [Connection(pair[0].detach()) for pair in pairs]
        self._free: queue.Queue[Connection] = queue.Queue()
        for connection in connections:
            self._free.put(connection)
        weakref.finalize(self, _close, self._process, connections)

    @property
    def is_over(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """Ends the process."""
        self._process.kill()

    def ask(self, path: Path, *request: Any) -> Any:
        """Sends a request and waits for the answer; errors there are raised here.

        Raises:
            InputError: the process died, most likely of the file `path`.
        """
        connection = self._free.get()
        try:
            connection.send(request)
            answer = connection.recv()
        except (EOFError, OSError):
            raise InputError(
                f'{path}: the process that read it {self._end()}, so the file is damaged in a '
                'way that its reader does not survive; want a whole copy, or it converted'
            ) from None
        except BaseException:  # Ctrl-C, say: the next request would get the answer to this
            self._process.kill()
            raise
        finally:
            self._free.put(connection)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _end(self) -> str:
        """Says how the process ended that answers no more; one that goes on is ended."""
        try:
            status = self._process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return 'stopped answering'
        return f'was killed by {signal.Signals(-status).name}' if status < 0 else 'ended'


def _close(process: subprocess.Popen[bytes], connections: list[Connection]) -> None:
    for connection in connections:
        connection.close()
    process.wait()


def serve(descriptors: list[str]) -> None:
    """Answers requests on sockets until the other ends are closed; run by `ReadingProcess`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C here, too
    logging.disable()  # tifffile tells of a damaged file in many lines; what matters is raised
    opened: dict[int, readers.Reader] = {}
    threads = [
        threading.Thread(target=_answer, args=(Connection(int(descriptor)), opened))
        for descriptor in descriptors
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _answer(connection: Connection, opened: dict[int, readers.Reader]) -> None:
    while True:
        try:
            request = connection.recv()
        except (EOFError, OSError):
            return
        try:
            answer = _perform(opened, *request)
        except Exception as error:
            error.add_note(traceback.format_exc())
            answer = _sendable(error)
        connection.send(answer)


def _sendable(error: Exception) -> Exception:
    """Gives the error, or its text where no pickle can rebuild it: whoever asked would wait."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(''.join(traceback.format_exception(error)))
    return error


def _perform(opened: dict[int, readers.Reader], name: str, first: Any, *arguments: Any) -> Any:
    if name == 'open':
        reader = readers.open_reader(first)
        opened[id(reader)] = reader
        return id(reader)
    if name == 'close':
        return opened.pop(first).close()
    found = getattr(opened[first], name)
    return found(*arguments) if callable(found) else found
