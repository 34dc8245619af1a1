"""The best epoch of a run, or of several, scored on a split."""

import dataclasses
import itertools
import operator
import re
from collections.abc import Sequence
from pathlib import Path

import ml_collections
import numpy as np
from absl import logging

from ocelot_jax.data.sources import Identity, Source, identify, open_source, splits
from ocelot_jax.evaluation import challenge, outcomes, scoring
from ocelot_jax.evaluation.scoring import PairResult, Table
from ocelot_jax.inference import engines
from ocelot_jax.io import atomic, digests, disk, hosts, text_table
from ocelot_jax.io.errors import InputError
from ocelot_jax.io.names import AnyPath
from ocelot_jax.models import factory
from ocelot_jax.runs import files, loading, provenance
from ocelot_jax.runs.directory import EvaluationDirectory, RunDirectory

_OVERLAYS = 8


@dataclasses.dataclass(frozen=True)
class Report:
    """What an evaluation gave.

    Attributes:
        runs: the runs' directories and the steps of their best epochs, in words.
        split: as the caller named it.
        table: names of rows ('population', each organ, and maybe 'untrained') to scores by name.
        written: where it is written.
    """

    runs: str
    split: str
    table: Table
    written: EvaluationDirectory

    def render(self) -> str:
        """The table as text, columns aligned, and the files to look at."""
        names = list(self.table['population'])
        rows = [['', *names]]
        for row, values in self.table.items():
            rows.append([row, *(_format(values.get(name)) for name in names)])
        title = f'{self.runs}, on {self.split}:'
        files = str(self.written.scores), str(self.written.overlays)
        return '\n'.join([title, text_table.align(rows), *files])


def evaluate_run(
    workdirs: Sequence[AnyPath],
    split: str | None = None,
    source: str | None = None,
    untrained: bool = False,
    test_time_augmentation: bool = False,
    engine: str = 'xla',
    detection: AnyPath | None = None,
    output: AnyPath | None = None,
) -> Report:
    """Scores the best epoch of a run on a split, and writes what came out.

    Args:
        workdirs: the run's directory, or those of several, whose probabilities are averaged.
        split: 'train', 'validation' or 'test'; where None test, or validation if there is no test.
        source: other data than the run's own, as `config.data.source`, by their own splits.
        untrained: whether to score the network with random weights as well.
        test_time_augmentation: whether to predict by means over the eight symmetries.
        engine: what computes the network, one of `engines.ENGINES`.
        detection: a file with tuned detection settings, instead of those kept with the runs.
        output: the folder to write the evaluation's to, instead of that of the first run.

    Returns:
        The scores. Of several hosts, which share the pairs, the first writes.

    Raises:
        InputError: a run has no finished epoch, or was trained on other pairs than the first, so
            that it may know those scored; the data are wrong; `output` holds scores of others.
        MissingFileError: the directory holds no run.
        OutputError: nothing can be written there.
    """
    loaded = loading.load_runs(workdirs, test_time_augmentation, detection=detection)
    config = loaded.config
    _take_data(loaded, source)
    split = split or splits(config.data)[-1]
    pairs = _open_pairs(loaded, split)
    data = identify(config.data, split)
    variant = name_variant(loaded, data, source is not None, detection is not None)
    variant += '-tta' * test_time_augmentation + f'-{engine}' * (engine != 'xla')
    written = place(loaded.workdirs[0], data, variant, output)
    if output is not None:
        provenance.check_place(written, loaded)
    pictured = np.unique(np.linspace(0, len(pairs) - 1, _OVERLAYS).astype(int)).tolist()

    trained = engines.of_runs(loaded, engine)
    found = hosts.gather(list(scoring.find_pairs(trained, pairs, config, pictured)))
    results = sorted(itertools.chain(*found), key=operator.attrgetter('index'))
    table = scoring.tabulate(scoring.count(results, len(pairs), config), config)
    if untrained:
        table[files.UNTRAINED] = _score_untrained(config, pairs, engine)

    if hosts.is_first():
        with atomic.replacing_folder(written.path) as folder:
            provenance.write_origin(EvaluationDirectory(folder), loaded, data, engine)
            write(results, table, EvaluationDirectory(folder), config)
    steps = zip(loaded.workdirs, loaded.steps, strict=True)
    names = [f'{run}, step {step}' for run, step in steps]
    return Report(' and '.join(names), split, table, written)


def _open_pairs(loaded: loading.LoadedRuns, split: str) -> Source:
    """Opens the pairs to be scored; warns of those at another um/px than in training."""
    data = loaded.config.data
    pairs = open_source(data, split)
    # how far batches are padded is no part of the network
    data.max_cells = max(data.max_cells, int(pairs.outline.cell_counts.max()))
    tissue_mpp = float(pairs[0]['tissue_mpp'])  # of one for all, for outlines do not tell it
    for doubt in loaded.doubts_of_pairs(pairs.outline.cell_mpps, [tissue_mpp]):
        logging.warning('%s', doubt)
    return pairs


def _take_data(loaded: loading.LoadedRuns, source: str | None) -> None:
    """Puts the data to be scored into the configuration: the runs' own, or others.

    Raises:
        InputError: they are the first run's own, and another run was trained on other ones.
    """
    config, (workdir, *others) = loaded.config, loaded.workdirs
    held = provenance.load_data(workdir)
    if source is not None:
        config.data.source = source
        # read whole for it, so only where it matters
        is_own = (config.data.folds or loaded.ensemble) and _is_own(config, held)
        if config.data.folds and not is_own:
            logging.warning(
                '%s: one of %d folds; %s has other pairs, whose own splits are taken: on slides '
                'that it was trained on, scores flatter',
                workdir,
                config.data.folds,
                source,
            )
            config.data.folds = config.data.fold = 0
        if not is_own:
            return
    for other in others:
        differing = held and provenance.other_data(provenance.load_data(other), held)
        if differing:
            raise InputError(
                f'{other}: does not fit {workdir} in an evaluation, for it may have been trained '
                f'on pairs to be scored: {"; ".join(differing)}; want runs of the same data and '
                'fold, or --source with other pairs'
            )


def _is_own(config: ml_collections.ConfigDict, held: provenance.Data) -> bool:
    """Whether a configuration's data are those that a run kept the identities of."""
    try:
        return bool(held) and not provenance.other_data(held, provenance.identify_data(config))
    except InputError:  # told when the data are opened
        return False


def _score_untrained(
    config: ml_collections.ConfigDict, pairs: Source, engine: str
) -> dict[str, float]:
    """Scores the network with the random weights of the run's seed, no pretrained ones."""
    model = factory.create_model(config)
    initial = factory.init_variables(model, config.seed, pairs[0])
    before = engines.create(engine, model, [initial], config.test_time_augmentation)
    return {'pairs': len(pairs), **scoring.score_pairs(before, pairs, config)}


def name_variant(loaded: loading.LoadedRuns, data: Identity, given: bool, detection: bool) -> str:
    """Names what tells an evaluation from that of the first run on data of its own.

    Args:
        loaded: the runs.
        data: what they are scored on.
        given: whether the data were given, rather than found in the run's configuration.
        detection: whether the detection settings were given.
    """
    own = provenance.load_data(loaded.workdirs[0]).get(data.split)
    if own is not None:
        given = own.digest != data.digest
    variant = ''
    if given:
        variant += f'-on-{re.sub("[^A-Za-z0-9_.-]+", "-", data.name)[:40]}-{data.digest[:8]}'
    if loaded.ensemble:
        variant += f'-ensemble-{digests.of_json(sorted(loaded.identity()["weights"]))[:8]}'
    if detection:
        variant += f'-detection-{digests.of_json(loaded.config.detection.to_dict())[:8]}'
    return variant


def place(
    workdir: Path, data: Identity, variant: str, output: AnyPath | None
) -> EvaluationDirectory:
    """Says where an evaluation goes, where files can be written.

    Raises:
        OutputError: they cannot.
    """
    written = RunDirectory(workdir).evaluation(data.split, variant)
    if output is not None:
        written = EvaluationDirectory(Path(output) / written.path.name)
    disk.make_folder(written.path.parent)
    return written


def write(
    results: Sequence[PairResult],
    table: Table,
    written: EvaluationDirectory,
    config: ml_collections.ConfigDict,
) -> None:
    """Writes what was found and its scores to an empty folder."""
    # here, so that what is mistyped is told before half a second of loading
    from ocelot_jax.evaluation import pictures

    cells, classes = [result.found for result in results], config.data.cell_classes
    challenge.write(written.predictions, cells, num_classes=len(classes))
    outcomes.write(results, written, config)
    pictures.write(results, written.overlays, config)
    files.write_scores(written, table)


def _format(value: float | None) -> str:
    if value is None:
        return '-'
    return str(value) if isinstance(value, int) else f'{value:.3f}'
