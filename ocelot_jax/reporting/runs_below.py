"""Reads the runs below a directory: what each is, and its evaluations that count."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import ml_collections
import numpy as np
from absl import logging

from ocelot_jax.io.errors import InputError
from ocelot_jax.reporting.experiments import data_set_of, experiment_of
from ocelot_jax.reporting.paper_scores import POPULATION
from ocelot_jax.runs import configuration, files, provenance
from ocelot_jax.runs.directory import EvaluationDirectory, RunDirectory

SPLITS = ('validation', 'test')
# greatest distance of a match in the official score
_MATCH_UM = 3.0


@dataclasses.dataclass(frozen=True)
class Run:
    """A trained and evaluated run.

    Attributes:
        path: its directory.
        config: as `configs/default.py`.
        data: name of its data set; of a cross-validated run with the number of folds, so that
            nobody takes its test split for the data set's own, and with the greatest distance of
            a match where that is not the official one.
        experiment: name of its experiment.
        settings: its configuration without what tells repeats apart, as JSON.
        trained: digest of the pairs that it was trained on; None where it is not known.
        evaluated: by split the digest of the data of the evaluations that count; None where it
            is not known.
        scores: by split the table of `scores.json` of these. Where validation was not evaluated by
            itself, it is the best epoch of `metrics.csv`.
    """

    path: Path
    config: ml_collections.ConfigDict
    data: str
    experiment: str
    settings: str
    trained: str | None
    evaluated: dict[str, str | None]
    scores: dict[str, files.Table]

    @property
    def cell_classes(self) -> tuple[str, ...]:
        """Names of the cell classes 1..K."""
        return tuple(self.config.data.cell_classes)

    @property
    def validation(self) -> float:
        """Validation mF1; NaN where none is known."""
        return self.scores.get('validation', {}).get(POPULATION, {}).get('mF1', np.nan)

    @property
    def directory(self) -> RunDirectory:
        """The files of the run."""
        return RunDirectory(self.path)

    def evaluation(self, split: str) -> EvaluationDirectory:
        """Names the files of the evaluation on a split."""
        return self.directory.evaluation(split)

    def pairs(self, split: str) -> files.PairRecords:
        """Reads the counts of each pair of a split."""
        return files.read_pairs(self.evaluation(split).pairs, self.cell_classes)

    def cells(self, split: str) -> files.CellRecords:
        """Reads the cells of a split."""
        return files.read_cells(self.evaluation(split).cells, self.cell_classes)


def directories(path: Path, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """Finds the directories of runs, through links too; none lies in another.

    A line in the log names what may not be read.

    Args:
        path: where to look.
        above: the directories on the way there.
    """
    resolved = path.resolve()
    if resolved in above:  # a link back to where we came from
        return
    try:
        is_run, children = RunDirectory(path).is_run, sorted(path.iterdir())
    except PermissionError:
        logging.warning('%s: may not be read, and is left out', path)
        return
    if is_run:
        yield path
        return
    for child in children:
        if child.is_dir():
            yield from directories(child, above | {resolved})


def read_run(path: Path, left_out: dict[Path, str]) -> Run:
    """Reads a run and its evaluations.

    Args:
        path: its directory.
        left_out: gains what does not count, and why.

    Raises:
        InputError: a file is damaged.
    """
    directory = RunDirectory(path)
    config = configuration.load_config(path)
    trained = provenance.load_data(path).get('train')
    identity = _identify(directory, config, None if trained is None else trained.name)
    evaluated: dict[str, str | None] = {}
    scores: dict[str, files.Table] = {}
    for split in SPLITS:
        evaluation = directory.evaluation(split)
        if not evaluation.scores.exists():
            continue
        why = provenance.doubt(path, evaluation)
        if why is None and config.data.folds and not evaluation.pairs.exists():
            why = f'no {evaluation.pairs.name}, whose counts are put together over folds'
        if why is not None:
            left_out[evaluation.path] = why
            continue
        of = provenance.evaluated_data(evaluation)
        evaluated[split] = None if of is None else of.digest
        scores[split] = files.read_scores(evaluation.scores)
        scores[split].pop(files.UNTRAINED, None)  # the other rows are organs
    own = scores and 'validation' not in scores and not config.data.folds
    if own and directory.metrics.exists():
        if configuration.current_detection(path) == config.detection.to_dict():
            scores['validation'] = {POPULATION: _best_epoch(directory.metrics)}
        else:
            left_out[directory.metrics] = (
                'validated at other detection settings than those that were tuned; evaluate the '
                'run on validation'
            )
    digest = None if trained is None else trained.digest
    return Run(path, config, *identity, digest, evaluated, scores)


def _identify(
    directory: RunDirectory, config: ml_collections.ConfigDict, trained_on: str | None
) -> tuple[str, str, str]:
    """The `data`, `experiment` and `settings` of a run."""
    try:
        called = None if trained_on is None else trained_on.partition(', fold ')[0]
        data = data_set_of(config.data.source, called)
        plain = config.to_dict()
        plain['data']['source'] = data  # wherever the data lie
        del plain['seed'], plain['data']['fold']
        if config.data.folds:
            data = f'{data}, {config.data.folds}-fold cross-validation'
        if config.match_distance_um != _MATCH_UM:
            data = f'{data}, matched within {config.match_distance_um:g} um'
        return data, experiment_of(config), json.dumps(plain, sort_keys=True)
    except (AttributeError, KeyError, TypeError) as error:
        told = str(error).strip('"\'')
        raise InputError(f'{directory.config}: is no configuration of ours ({told})') from error
    except ValueError as error:
        raise InputError(f'{directory.config}: {error}') from error


def _best_epoch(path: Path) -> dict[str, float]:
    metrics = files.read_metrics(path)
    if not np.isfinite(metrics['mF1']).any():
        return {}
    # the latest of equals, as the checkpoint that is kept
    best = int(np.flatnonzero(metrics['mF1'] == np.nanmax(metrics['mF1']))[-1])
    return {name: float(values[best]) for name, values in metrics.items()}
