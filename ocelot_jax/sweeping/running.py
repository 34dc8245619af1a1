"""Trains and evaluates the runs of a sweep that are missing."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from ocelot_jax.data import sources
from ocelot_jax.evaluation import evaluator, tuning
from ocelot_jax.io import atomic, locks
from ocelot_jax.io.errors import InputError
from ocelot_jax.runs import files
from ocelot_jax.runs.directory import RunDirectory
from ocelot_jax.sweeping.search import Point, Sweep, repeat_points, search_points
from ocelot_jax.training import loop

Report = Callable[[str], None]


def run_sweep(
    sweep: Sweep,
    workdir: Path,
    overrides: Mapping[str, Any] | None = None,
    shard: tuple[int, int] = (0, 1),
    report: Report = lambda line: None,
) -> None:
    """Trains and evaluates what is missing of a sweep in its directory.

    The same call goes on where an earlier one stopped. Several at once, in one process each,
    share the runs.

    Args:
        sweep: what to train.
        workdir: the sweep's directory.
        overrides: values of fields for all runs.
        shard: (i, n), to train every n-th run alone, beginning with the i-th.
        report: called with lines on how it is going.

    Raises:
        InputError: a configuration is wrong, or a run failed; the others are done.
    """
    searches = {
        config: list(search_points(config, sweep.axes, overrides or {}))
        for config in sweep.configs
    }
    found = list(itertools.chain(*searches.values()))
    busy = _run_all(found, workdir, shard, sweep.tune_detection, report)
    repeats = []
    for config, points in searches.items():
        done = [point for point in points if is_done(workdir / point.name)]
        scored = [point for point in done if _validation(workdir / point.name).exists()]
        if len(done) < len(points):
            report(
                f'{config}: {len(done)} of {len(points)} combinations are done, so none is chosen'
            )
        elif scored:
            chosen = max(scored, key=lambda point: validation_score(workdir / point.name))
            repeats += repeat_points(chosen, sweep.repeats)
    busy += _run_all(repeats, workdir, shard, sweep.tune_detection, report)
    if busy:
        report(f"{len(busy)} runs are another process's: {', '.join(busy)}")
    # the best one of a search is the first of its repeats, too
    names = dict.fromkeys(point.name for point in [*found, *repeats])
    failed = [name for name in names if RunDirectory(workdir / name).failure.exists()]
    if failed:
        file = RunDirectory(workdir).failure.name
        raise InputError(
            f'{len(failed)} runs failed: {", ".join(failed)}; {file} in {workdir} says why, '
            'without it the run is tried again'
        )


def is_done(run: Path) -> bool:
    """Whether a run is trained and evaluated, or failed for good."""
    return RunDirectory(run).failure.exists() or _validation(run).exists()


def validation_score(run: Path) -> float:
    """The mF1 of a run's best epoch on the validation split."""
    return files.read_scores(_validation(run))[files.POPULATION]['mF1']


def _validation(run: Path) -> Path:
    """The scores that are written last."""
    return RunDirectory(run).evaluation('validation').scores


def _run_all(
    points: Sequence[Point],
    workdir: Path,
    shard: tuple[int, int],
    tune_detection: bool,
    report: Report,
) -> list[str]:
    """Trains and evaluates this shard's part; names the runs that other processes train."""
    index, count = shard
    own, busy = points[index::count], []
    for number, point in enumerate(own, 1):
        run = workdir / point.name
        with locks.try_lock(RunDirectory(run).lock) as mine:
            if not mine:
                busy.append(point.name)
            elif not is_done(run):
                report(f'{number} of {len(own)}: {point.name}')
                _run(point, run, tune_detection, report)
    return busy


def _run(point: Point, run: Path, tune_detection: bool, report: Report) -> None:
    """Trains a run and scores its best epoch, on the validation split last."""
    try:
        loop.train_and_evaluate(point.config, run)
        if tune_detection:
            report(tuning.tune_run(run).render())
        held = sources.splits(point.config.data)
        for split in sorted({'validation', 'test'} & set(held)):
            report(evaluator.evaluate_run([run], split).render())
    except loop.NonFiniteLossError as error:
        atomic.write_text(RunDirectory(run).failure, f'{error}\n')
        report(f'{point.name}: {error}')
    finally:
        # the next run has programs of its own
        jax.clear_caches()
