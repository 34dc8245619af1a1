"""Trains and evaluates the runs of a sweep that are missing."""

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from ocelot_jax.cluster import pool as pool_lib
from ocelot_jax.cluster.pool import HERE, Perform, Pool, Workers
from ocelot_jax.data import sources
from ocelot_jax.evaluation import evaluator, tuning
from ocelot_jax.io import atomic, progress
from ocelot_jax.io.errors import InputError
from ocelot_jax.runs import files, provenance
from ocelot_jax.runs.directory import RunDirectory
from ocelot_jax.runs.provenance import Data
from ocelot_jax.sweeping.search import Point, Sweep, repeat_points, search_points
from ocelot_jax.training import loop

Report = Callable[[str], None]
# The validation mF1 of runs that are done, by their names; None where the loss became no number.
Scores = dict[str, float | None]


def run_sweep(
    sweep: Sweep,
    workdir: Path,
    overrides: Mapping[str, Any] | None = None,
    shard: tuple[int, int] = (0, 1),
    report: Report = lambda line: None,
    workers: Workers = HERE,
    start_worker: Callable[[Path], None] = lambda workdir: None,
) -> None:
    """Trains and evaluates what is missing of a sweep in its directory.

    The same call goes on where an earlier one stopped.

    Args:
        sweep: what to train.
        workdir: the sweep's directory.
        overrides: values of fields for all runs.
        shard: (i, n), to train every n-th run alone, beginning with the i-th.
        report: called with lines on what came out.
        workers: who trains the runs.
        start_worker: called with the directory, once in every process that trains some.

    Raises:
        InputError: a configuration is wrong, or a run failed; the others are done.
    """
    searches = {
        config: list(search_points(config, sweep, overrides or {})) for config in sweep.configs
    }
    found = list(itertools.chain(*searches.values()))
    _check_names(searches)
    is_done = functools.partial(_is_done, data_of=_remember_data())
    # other machines have other working directories
    where = workdir if workers.here else workdir.absolute()
    prepare = functools.partial(prepare_worker, where, sweep.tune_detection, start_worker)
    scores: Scores = {}
    with pool_lib.open_pool(workers, prepare, 'sweep') as pool:
        if pool.about:
            report(pool.about)
        broken = _run_all(found, where, shard, pool, scores, is_done, report)
        repeats = []
        for config, points in searches.items() if sweep.repeats > 1 else ():
            repeats += _repeats(config, points, scores, sweep.repeats, report)
        broken += _run_all(repeats, where, shard, pool, scores, is_done, report)
    _raise_failures([name for name, score in scores.items() if score is None], broken, workdir)


def _check_names(searches: Mapping[str, Sequence[Point]]) -> None:
    """Raises an InputError where runs of two configurations would have one directory."""
    held: dict[str, str] = {}
    for config, points in searches.items():
        for point in points:
            first = held.setdefault(point.name, config)
            if first != config:
                raise InputError(
                    f'{config}: its run {point.name} has the directory of one of {first}; want '
                    'files of other names'
                )


def prepare_worker(
    workdir: Path, tune_detection: bool, start_worker: Callable[[Path], None]
) -> Perform:
    """Makes, once a worker, what trains a run by its name and configuration."""
    start_worker(workdir)
    return functools.partial(train_run, workdir=workdir, tune_detection=tune_detection)


def train_run(
    name: str, config: ConfigDict, workdir: Path, tune_detection: bool
) -> tuple[float | None, list[str]]:
    """Trains a run and scores its best epoch, on the validation split last.

    Returns:
        The run's validation mF1, None where it had failed for good, and lines on its scores, none
        where it was done already.

    Raises:
        InputError: the run failed.
    """
    run, lines = workdir / name, []
    try:
        # the worker that did it may have gone before it told
        if not _is_done(run, config, provenance.identify_data):
            # of another configuration or other data, or removed by who wants it tried again
            RunDirectory(run).failure.unlink(missing_ok=True)
            loop.train_and_evaluate(config, run)
            if tune_detection:
                lines.append(tuning.tune_run(run).render())
            held = sources.splits(config.data)
            for split in sorted({'validation', 'test'} & set(held)):
                lines.append(evaluator.evaluate_run([run], split).render())
    except loop.NonFiniteLossError as error:
        atomic.write_text(RunDirectory(run).failure, f'{error}\n')
        raise
    finally:
        # the next run has programs of its own
        jax.clear_caches()
    return _score(run), lines


def _run_all(
    points: Sequence[Point],
    workdir: Path,
    shard: tuple[int, int],
    pool: Pool,
    scores: Scores,
    is_done: Callable[[Path, ConfigDict], bool],
    report: Report,
) -> list[str]:
    """Trains this shard's part of what is missing.

    Args:
        points: the runs.
        workdir: the sweep's directory.
        shard: see `run_sweep`.
        pool: trains them.
        scores: of the runs that are done; those of these runs are added.
        is_done: whether a run of a configuration is done.
        report: see `run_sweep`.

    Returns:
        The names of runs that failed, though not for good.
    """
    for point in points:
        run = workdir / point.name
        if point.name not in scores and is_done(run, point.config):
            scores[point.name] = _score(run)
    index, count = shard
    own = {point.name: point.config for point in points[index::count] if point.name not in scores}
    numbers = {name: number for number, name in enumerate(own, 1)}
    broken = []
    with progress.show('sweep', len(own), 'runs', shown=bool(own)) as shown:
        tell = lambda name: shown.note(f'{numbers[name]} of {len(own)}: {name}')
        for ended in pool.run(own, tell):
            shown.advance()
            if ended.error is None:
                scores[ended.name], lines = ended.value
                for line in lines:
                    report(line)
                continue
            report(f'{ended.name}: {ended.error}')
            if RunDirectory(workdir / ended.name).failure.exists():
                scores[ended.name] = None
            else:
                broken.append(ended.name)
    return broken


def _repeats(
    config: str, points: Sequence[Point], scores: Scores, count: int, report: Report
) -> list[Point]:
    """The combination that validates best, with so many seeds; none before all are done."""
    done = [point for point in points if point.name in scores]
    scored = [(score, point) for point in done if (score := scores[point.name]) is not None]
    if len(done) < len(points):
        report(f'{config}: {len(done)} of {len(points)} combinations are done, so none is chosen')
    elif scored:
        _, chosen = max(scored, key=lambda held: held[0])
        return list(repeat_points(chosen, count))
    return []


def _raise_failures(diverged: Sequence[str], broken: Sequence[str], workdir: Path) -> None:
    """Raises an InputError that names the runs that failed, where some did."""
    if not diverged and not broken:
        return
    parts = [f'{len(diverged) + len(broken)} runs failed: {", ".join([*diverged, *broken])}']
    if diverged:
        file = RunDirectory(workdir).failure.name
        parts.append(f'{workdir / diverged[0] / file} says why, without it the run is tried again')
    if broken:
        parts.append(f'the same command tries {", ".join(broken)} again')
    raise InputError('; '.join(parts))


def _is_done(run: Path, config: ConfigDict, data_of: Callable[[ConfigDict], Data]) -> bool:
    """Whether a run is trained and evaluated, or failed for good, with these settings and data.

    One of others is not done: training says what differs, where it finds a checkpoint. Nor is one
    that somebody evaluated before its training had ended.
    """
    failed = RunDirectory(run).failure.exists()
    if not failed and not (_validation(run).exists() and _is_trained(run, config)):
        return False
    data = data_of(config)
    try:
        provenance.check_run(run, config, data)
    except InputError:
        return False
    return failed or provenance.doubt(run, RunDirectory(run).evaluation('validation')) is None


def _is_trained(run: Path, config: ConfigDict) -> bool:
    """Whether all epochs of a run are trained and validated."""
    path = RunDirectory(run).metrics
    return path.exists() and config.num_epochs in files.read_metrics(path)['epoch']


def _remember_data() -> Callable[[ConfigDict], Data]:
    """Makes what identifies the data of a configuration, and reads the same ones once."""
    known: dict[str, Data] = {}

    def identify(config: ConfigDict) -> Data:
        key = config.data.to_json(sort_keys=True)
        if key not in known:
            known[key] = provenance.identify_data(config)
        return known[key]

    return identify


def _score(run: Path) -> float | None:
    """The mF1 of a run's best epoch on the validation split; None where it failed for good."""
    if RunDirectory(run).failure.exists():
        return None
    return files.read_scores(_validation(run))[files.POPULATION]['mF1']


def _validation(run: Path) -> Path:
    """The scores that are written last."""
    return RunDirectory(run).evaluation('validation').scores
