"""What a run says of itself: a CSV of epochs, TensorBoard curves, a bar."""

import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import tensorboardX
import tqdm

from ocelot_jax.runs import files
from ocelot_jax.runs.directory import RunDirectory


class MetricsLog:
    """Metrics of a run, in `metrics.csv` (one row an epoch) and for TensorBoard.

    A run that goes on from an earlier step forgets what was written after it.

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
    """Tells how runs that train as one are going: a bar, and a `MetricsLog` for each.

    Args:
        workdirs: the runs' directories.
        step: optimizer steps done, where the runs go on.
        total_steps: of a whole run.
        batch_size: pairs of a run's step.
        quiet: whether to tell nothing, as all hosts but one should.
    """

    def __init__(
        self,
        workdirs: Sequence[Path],
        *,
        step: int,
        total_steps: int,
        batch_size: int,
        quiet: bool,
    ):
        self._pairs = len(workdirs) * batch_size
        self._first = step + 1
        self._logs = [] if quiet else [MetricsLog(workdir, step) for workdir in workdirs]
        self._titles = [f'{path.name}, ' if len(workdirs) > 1 else '' for path in workdirs]
        self._bar = tqdm.tqdm(
            total=total_steps * self._pairs,
            initial=step * self._pairs,
            unit='pair',
            # a log file needs no line twice a second
            mininterval=0.5 if sys.stderr.isatty() else 30,
            dynamic_ncols=True,
            disable=quiet,
        )

    def step(self, step: int, losses: Sequence[dict[str, float]]) -> None:
        """Tells of one more step, with the losses of each run."""
        mean = statistics.mean(values['loss'] for values in losses)
        self._bar.set_postfix(loss=f'{mean:.3f}', refresh=False)
        self._bar.update(self._pairs)
        if step == self._first:
            # the compilation is over, which a log file would not tell for a while
            self._bar.refresh()
        for log, values in zip(self._logs, losses, strict=False):
            log.write_step(step, values)

    def epoch(self, epoch: int, step: int, metrics: Sequence[dict[str, float]]) -> None:
        """Tells of one more epoch, with each run's mean losses and validation scores."""
        for log, title, values in zip(self._logs, self._titles, metrics, strict=False):
            self._bar.write(f'{title}epoch {epoch}: {describe(values)}')
            log.write_epoch(epoch, step, values)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()
        for log in self._logs:
            log.close()
