"""A training that is asked to stop: SIGTERM of a scheduler, Ctrl-C of a user."""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

import jax
from jax.experimental import multihost_utils

from ocelot_jax.inference.engine import Batch, Engine, Maps


class Stopped(Exception):
    """The training was asked to stop, amid an epoch or its validation."""


class StopSignal:
    """Within its context SIGTERM and Ctrl-C do not end the process; they are answered here.

    A second Ctrl-C ends it as ever. In a thread other than the main one, where Python hands out
    no signals, none is caught.
    """

    def __init__(self) -> None:
        self._received = False
        self._asked = 0
        self._previous: dict[int, Callable[[int, FrameType | None], Any] | int | None] = {}

    def requested(self) -> bool:
        """Whether to stop now; true ever after.

        Of several hosts, SIGTERM of one is enough. All must ask equally often, and get the same
        answer at the same time.
        """
        self._asked += 1
        if jax.process_count() > 1:
            # JAX's own, which learns of SIGTERM without a handler here
            reached = multihost_utils.reached_preemption_sync_point(self._asked)
            self._received = self._received or reached
        return self._received

    def watch(self, engine: Engine) -> Engine:
        """Makes an engine that raises `Stopped` between batches."""

        def compute(batch: Batch) -> Maps:
            if self.requested():
                raise Stopped
            return engine(batch)

        return compute

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            alone = jax.process_count() == 1
            handlers = {signal.SIGINT: self._interrupt} | (
                {signal.SIGTERM: self._terminate} if alone else {}
            )
            self._previous = {
                number: signal.signal(number, handler) for number, handler in handlers.items()
            }
        return self

    def __exit__(self, *exception: object) -> None:
        for number, previous in self._previous.items():
            signal.signal(number, previous)

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        self._received = True

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        # as SIGTERM, so that the other hosts learn of it, too
        os.kill(os.getpid(), signal.SIGTERM)
