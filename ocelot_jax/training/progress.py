"""How a run reports its progress: a CSV of epochs, TensorBoard curves, a bar or lines."""

import contextlib
import itertools
import math
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import tensorboardX

from ocelot_jax.io import hosts, progress
from ocelot_jax.runs import files
from ocelot_jax.runs.directory import STEP_SECONDS, RunDirectory


class MetricsLog:
    """Metrics of a run, in `metrics.csv` (one row an epoch) and for TensorBoard.

    A run that goes on from an earlier step drops what was written after it.

    Args:
        workdir: the run's directory.
        step: optimizer steps done, where the run goes on.
    """

    def __init__(self, workdir: Path, step: int):
        run = RunDirectory(workdir)
        self._path = run.metrics
        self._board = tensorboardX.SummaryWriter(str(run.tensorboard), purge_step=step + 1)

    def write_step(self, step: int, metrics: dict[str, float]) -> None:
        """Adds a point to TensorBoard's curves."""
        for name, value in metrics.items():
            self._board.add_scalar(name, value, step)

    def write_epoch(self, epoch: int, step: int, metrics: dict[str, float]) -> None:
        """Adds a row to the CSV, and the metrics to TensorBoard's curves."""
        files.write_epoch(self._path, epoch, step, metrics)
        self.write_step(step, metrics)
        self._board.flush()

    def close(self) -> None:
        """Ends TensorBoard's file."""
        self._board.close()


def describe(metrics: Mapping[str, float]) -> str:
    """Metrics as one line for people."""
    return '  '.join(f'{name} {value:.3f}' for name, value in metrics.items())


class Reporter:
    """Tells how a run is going: progress, and a `MetricsLog`; of several hosts the first alone.

    Args:
        workdir: the run's directory.
        step: optimizer steps done, where the run goes on.
        total_steps: of the whole run.
        batch_size: pairs of a step.
    """

    def __init__(self, workdir: Path, step: int, total_steps: int, batch_size: int):
        first = hosts.is_first()
        self._total_steps = total_steps
        self._batch_size = batch_size
        # when each of the epoch's steps was told
        self._times: list[float] = []
        self._log = MetricsLog(workdir, step) if first else None
        self._open = contextlib.ExitStack()
        pairs = total_steps * batch_size
        self._progress = self._open.enter_context(
            progress.show('training', pairs, 'pairs', step * batch_size, shown=first)
        )
        self._progress.note('the first step is compiled, which may take some minutes')

    def step(self, step: int, losses: dict[str, float]) -> None:
        """Tells of one more step, with its losses."""
        self._times.append(time.monotonic())
        self._progress.advance(self._batch_size, f'loss {losses["loss"]:.3f}')
        if self._log:
            self._log.write_step(step, losses)

    def epoch(self, epoch: int, step: int, metrics: dict[str, float]) -> None:
        """Tells of one more epoch, with its mean losses and validation scores.

        Kept with them is how long its steps took, the median in seconds; NaN of a single one.
        """
        between = [after - before for before, after in itertools.pairwise(self._times)]
        seconds = statistics.median(between) if between else math.nan
        self._times = []
        left = self._progress.left()
        self._progress.note(f'epoch {epoch}: {describe(metrics)}{left and f"  ({left})"}')
        if self._log:
            self._log.write_epoch(epoch, step, {**metrics, STEP_SECONDS: seconds})

    def stopped(self, step: int) -> None:
        """Tells that the run was asked to stop at a step."""
        self._progress.note(
            f'stopped at step {step} of {self._total_steps}; the same command goes on there'
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        self._open.__exit__(*exception)
        if self._log:
            self._log.close()
