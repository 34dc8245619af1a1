"""What a run was trained on, and what its evaluations come from: identities in JSON files."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import ml_collections
from absl import logging

from ocelot_jax.data.sources import Identity, Record, identify
from ocelot_jax.io import atomic, hosts
from ocelot_jax.io.errors import InputError
from ocelot_jax.runs import checkpoints, configuration
from ocelot_jax.runs.directory import EvaluationDirectory, RunDirectory
from ocelot_jax.runs.loading import LoadedRuns

# The data of a run by split: those that it is trained and validated on.
Data = Mapping[str, Identity]

TRAINED_ON = ('train', 'validation')


def open_run(
    workdir: Path, config: ml_collections.ConfigDict, example: Record, goes_on: bool
) -> None:
    """Writes what a new run's directory begins with, or checks whose run an old one holds.

    Args:
        workdir: the run's directory.
        config: as `configs/default.py`.
        example: a record of the data.
        goes_on: whether the directory holds a checkpoint.

    Raises:
        InputError: the directory holds a run of another configuration, or of other data.
    """
    data = identify_data(config)
    if goes_on:
        check_run(workdir, config, data)
    if hosts.is_first():
        # of a run that goes on, too: its data may have moved
        configuration.write_config(workdir, config)
    if hosts.is_first() and not goes_on:
        write_data(workdir, data)
        configuration.write_patches(workdir, example)


def identify_data(config: ml_collections.ConfigDict) -> Data:
    """Identifies the data that a run of a configuration is trained and validated on.

    Raises:
        InputError: they are not there, or bad.
    """
    return {split: identify(config.data, split) for split in TRAINED_ON}


def write_data(workdir: Path, data: Data) -> None:
    """Writes the identities of the data of a new run."""
    held = {split: dataclasses.asdict(identity) for split, identity in data.items()}
    atomic.write_text(RunDirectory(workdir).trained_on, json.dumps(held, indent=2) + '\n')


def load_data(workdir: Path) -> Data:
    """Reads the identities of the data of a run; none of an older run, which kept none.

    Raises:
        InputError: the file is damaged.
    """
    path = RunDirectory(workdir).trained_on
    if not path.exists():
        return {}
    try:
        return {split: Identity(**held) for split, held in json.loads(path.read_text()).items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(
            f'{path}: tells no data ({error}); want name, split and digest by split'
        ) from error


def check_run(workdir: Path, config: ml_collections.ConfigDict, data: Data) -> None:
    """Raises an InputError if a run is one of another configuration, or of other data.

    Data are the same wherever they lie. An older run kept no record of them: it is taken, with
    a warning.
    """
    held = load_data(workdir)
    same = bool(held) and not other_data(held, data)
    configuration.check_config(workdir, config, moved=same)
    if not held:
        logging.warning(
            '%s: not there, so nothing tells whether the run was trained on these data',
            RunDirectory(workdir).trained_on,
        )
    elif not same:
        raise InputError(
            f'{RunDirectory(workdir).trained_on}: holds a run of other data: '
            f'{"; ".join(other_data(held, data))}; choose another --workdir or the same data'
        )


def other_data(held: Data, wanted: Data) -> list[str]:
    """Describes each split whose content differs."""
    return [
        f'{split} is {describe(held.get(split))} there and {describe(wanted.get(split))} here'
        for split in TRAINED_ON
        if _digest(held.get(split)) != _digest(wanted.get(split))
    ]


def describe(identity: Identity | None) -> str:
    """Names data for people."""
    return 'none' if identity is None else f'{identity.name} (digest {identity.digest[:8]})'


def _digest(identity: Identity | None) -> str | None:
    return None if identity is None else identity.digest


def origin(loaded: LoadedRuns, data: Identity) -> dict[str, Any]:
    """Gives which data and weights something comes from, as JSON holds it."""
    weights = loaded.identity()['weights']
    return {
        'data': dataclasses.asdict(data),
        'runs': [
            {
                'name': run.resolve().name,
                'step': step,
                'weights': digest,
                'checkpoint': checkpoints.digest(run, step),
            }
            for run, step, digest in zip(loaded.workdirs, loaded.steps, weights, strict=True)
        ],
    }


def write_origin(
    evaluation: EvaluationDirectory, loaded: LoadedRuns, data: Identity, engine: str
) -> None:
    """Writes which data, runs and settings an evaluation comes from."""
    settings = {
        'detection': loaded.config.detection.to_dict(),
        'test_time_augmentation': bool(loaded.config.test_time_augmentation),
        'engine': engine,
    }
    held = origin(loaded, data) | {'settings': settings}
    atomic.write_text(evaluation.origin, json.dumps(held, indent=2) + '\n')


def check_tuned(file: Path, loaded: LoadedRuns) -> None:
    """Checks that tuned settings take the place of those of the same weights, or of none.

    Settings from before they told where they come from may be replaced.

    Raises:
        InputError: those of other weights are there, or the file is damaged.
    """
    if not file.exists():
        return
    tuned = configuration.load_tuned_weights(file)
    if tuned is not None and tuned != loaded.identity()['weights']:
        raise InputError(
            f'{file}: was tuned for other weights; want another --output, or that removed'
        )


def check_place(evaluation: EvaluationDirectory, loaded: LoadedRuns) -> None:
    """Checks that an evaluation takes the place of one of the same runs' weights, or of none.

    Raises:
        InputError: one of other weights is there, or its file is damaged.
    """
    held = _read_origin(evaluation)
    if held is not None and held.weights != loaded.identity()['weights']:
        raise InputError(
            f'{evaluation.path}: holds an evaluation of other weights; want another --output, or '
            'that removed'
        )


def evaluated_data(evaluation: EvaluationDirectory) -> Identity | None:
    """Reads which data an evaluation is of; None of an older one, which did not keep it.

    Raises:
        InputError: the file is damaged.
    """
    held = _read_origin(evaluation)
    return held and held.data


def doubt(workdir: Path, evaluation: EvaluationDirectory) -> str | None:
    """Tells why an evaluation is not one of a run's own data and best epoch; None where it is.

    An older one, which did not keep what it comes from, is taken, with a warning, and so is one at
    other detection settings than the run has now. Where the run's checkpoints are not there any
    more, its weights are not compared.

    Raises:
        InputError: a file is damaged.
    """
    held = _read_origin(evaluation)
    if held is None:
        logging.warning(
            '%s: not there, so nothing tells the data and weights of these scores; they are '
            'taken for those of the run: evaluate it again to be sure',
            evaluation.origin,
        )
        return None
    data, run = held.data, held.best
    if held.detection != configuration.current_detection(workdir):
        logging.warning(
            '%s: scores at other detection settings than the run has now; evaluate it again',
            evaluation.path,
        )
    own = load_data(workdir).get(data.split)
    if own is not None and own.digest != data.digest:
        return f'scores on {describe(data)}; the run was trained on {describe(own)}'
    best = checkpoints.best(workdir)
    if best is not None and best != run:
        return (
            f'scores of step {run[0]}, of other weights than those of the best epoch now, of '
            f'step {best[0]}; evaluate the run again'
        )
    return None


class _Origin(NamedTuple):
    """What an evaluation comes from.

    Attributes:
        data: the pairs.
        best: of the first run the step and the digest of its checkpoint.
        weights: digests of all runs' weights.
        detection: the settings.
    """

    data: Identity
    best: tuple[int, str]
    weights: list[str]
    detection: dict[str, Any]


def _read_origin(evaluation: EvaluationDirectory) -> _Origin | None:
    if not evaluation.origin.exists():
        return None
    try:
        held = json.loads(evaluation.origin.read_text())
        runs = held['runs']
        return _Origin(
            Identity(**held['data']),
            (runs[0]['step'], runs[0]['checkpoint']),
            [run['weights'] for run in runs],
            held['settings']['detection'],
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(
            f'{evaluation.origin}: does not tell data and runs ({error}); evaluate the run again'
        ) from error
