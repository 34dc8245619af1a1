"""Trains many runs: `python -m ocelot_jax.sweep --sweep=configs/sweeps/table5.py --workdir=DIR`.

A sweep is a short file of `configs/sweeps/`: configurations, and the values that their fields may
take. Every combination is trained with the configuration's seed; the one that validates best is
then trained with further seeds (Sec. 6.3). The same command goes on where an earlier one stopped;
several at once, on one machine or on many that share DIR, each take what no other is at.
`--shard=i/n` gives each of n array jobs a part of its own.
"""

import ast
import dataclasses
import itertools
import runpy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from ocelot_jax.data.sources import splits
from ocelot_jax.evaluation import evaluator, tuning
from ocelot_jax.io import atomic, locks
from ocelot_jax.io.errors import InputError, MissingFileError
from ocelot_jax.runs import configuration, files
from ocelot_jax.runs.directory import RunDirectory
from ocelot_jax.training.loop import NonFiniteLossError, train_and_evaluate


@dataclasses.dataclass(frozen=True)
class Sweep:
    """What to train.

    Attributes:
        configs: files of configurations, `configs/crc.py:unet` with an argument.
        axes: the values that a field takes, by its name, such as 'optimizer.learning_rate';
            the product of all is searched.
        repeats: how many seeds the combination that validates best is trained with.
        tune_detection: whether to tune the detection of every run, see `ocelot_jax.tune`.
    """

    configs: tuple[str, ...]
    axes: Mapping[str, Sequence[Any]]
    repeats: int = 1
    tune_detection: bool = True


@dataclasses.dataclass(frozen=True)
class Point:
    """One run of a sweep.

    Attributes:
        name: the run's directory below the sweep's.
        config: as `configs/default.py`.
    """

    name: str
    config: ConfigDict


def run_sweep(
    sweep: Sweep,
    workdir: Path,
    overrides: Mapping[str, Any] | None = None,
    shard: tuple[int, int] = (0, 1),
) -> None:
    """Trains and evaluates what is missing of a sweep.

    Args:
        sweep: what to train.
        workdir: the sweep's directory.
        overrides: values of fields for all runs.
        shard: (i, n), to train every n-th run alone, beginning with the i-th.

    Raises:
        InputError: a configuration is wrong, or a run failed; the others are done.
    """
    searches = {
        config: list(search_points(config, sweep.axes, overrides or {}))
        for config in sweep.configs
    }
    found = list(itertools.chain(*searches.values()))
    busy = _run_all(found, workdir, shard, sweep.tune_detection)
    repeats = []
    for config, points in searches.items():
        done = [point for point in points if is_done(workdir / point.name)]
        scored = [point for point in done if _validation(workdir / point.name).exists()]
        if len(done) < len(points):
            print(
                f'{config}: {len(done)} of {len(points)} combinations are done, so none is chosen'
            )
        elif scored:
            chosen = max(scored, key=lambda point: validation_score(workdir / point.name))
            repeats += repeat_points(chosen, sweep.repeats)
    busy += _run_all(repeats, workdir, shard, sweep.tune_detection)
    if busy:
        print(f"{len(busy)} runs are another process's: {', '.join(busy)}")
    # the best one of a search is the first of its repeats, too
    names = dict.fromkeys(point.name for point in [*found, *repeats])
    failed = [name for name in names if RunDirectory(workdir / name).failure.exists()]
    if failed:
        file = RunDirectory(workdir).failure.name
        raise InputError(
            f'{len(failed)} runs failed: {", ".join(failed)}; {file} '
            f'in {workdir} says why, without it the run is tried again'
        )


def search_points(
    config: str, axes: Mapping[str, Sequence[Any]], overrides: Mapping[str, Any]
) -> Iterator[Point]:
    """The runs of a configuration whose best will be repeated.

    Args:
        config: its file.
        axes: see `Sweep`.
        overrides: values of fields for all runs.
    """
    for values in itertools.product(*axes.values()):
        settings = dict(zip(axes, values, strict=True))
        point = read_config(config)
        try:
            point.update_from_flattened_dict({**overrides, **settings})
        except (AttributeError, KeyError, TypeError) as error:
            raise InputError(f'{config}: {error}') from error
        if point.seeds != 1:
            raise InputError(
                f"{config}: seeds is {point.seeds}; want 1, a sweep's `repeats` says how many runs"
            )
        parts = [
            configuration.config_name(config),
            *(f'{name}={value}' for name, value in settings.items()),
        ]
        yield Point(f'{"/".join(parts)}/seed{point.seed}', point)


def repeat_points(point: Point, repeats: int) -> Iterator[Point]:
    """A run and others that differ from it by the seed alone."""
    for seed in range(point.config.seed, point.config.seed + repeats):
        config = point.config.copy_and_resolve_references()
        config.seed = seed
        yield Point(str(Path(point.name).parent / f'seed{seed}'), config)


def read_config(config: str) -> ConfigDict:
    """Reads a configuration's file, with its argument behind a colon."""
    file, _, argument = config.partition(':')
    return _run_file(file)['get_config'](*filter(None, [argument]))


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
    points: Sequence[Point], workdir: Path, shard: tuple[int, int], tune_detection: bool
) -> list[str]:
    """Trains and evaluates this shard's part; names what other processes are at."""
    index, count = shard
    own, busy = points[index::count], []
    for number, point in enumerate(own, 1):
        run = workdir / point.name
        with locks.claimed(run) as mine:
            if not mine:
                busy.append(point.name)
            elif not is_done(run):
                print(f'{number} of {len(own)}: {point.name}', flush=True)
                _run(point, run, tune_detection)
    return busy


def _run(point: Point, run: Path, tune_detection: bool) -> None:
    """Trains a run and scores its best epoch, on the validation split last."""
    try:
        train_and_evaluate(point.config, run)
        if tune_detection:
            tuning.tune_run(run)
        held = splits(point.config.data)
        for split in sorted({'validation', 'test'} & set(held)):
            evaluator.evaluate_run([run], split)
    except NonFiniteLossError as error:
        with atomic.replacing(RunDirectory(run).failure) as file:
            file.write_text(f'{error}\n')
        print(f'{point.name}: {error}')
    finally:
        # the next run has programs of its own
        jax.clear_caches()


def read_sweep(sweep: str) -> Sweep:
    """Reads a sweep's file, with its argument behind a colon."""
    file, _, argument = sweep.partition(':')
    return Sweep(**_run_file(file)['get_sweep'](*filter(None, [argument])))


def _run_file(file: str) -> dict[str, Any]:
    try:
        return runpy.run_path(file)
    except FileNotFoundError:
        raise MissingFileError(f'{file}: is not there; want a file of configs/') from None


def parse_shard(text: str) -> tuple[int, int]:
    """Reads 'i/n'.

    Raises:
        InputError: it is none, or i is not below n.
    """
    index, _, count = text.partition('/')
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise InputError(f'--shard: {text!r}; want i/n with i from 0 to n - 1, as in 0/4')
    return int(index), int(count)


def parse_override(text: str) -> tuple[str, Any]:
    """Reads 'field=value', where the value is a Python literal or else a string.

    Raises:
        InputError: it is none.
    """
    name, equals, value = text.partition('=')
    if not equals:
        raise InputError(f'--override: {text!r}; want field=value, as in data.source=PATH')
    try:
        return name, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return name, value
