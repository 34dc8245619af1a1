"""Every path, file and column in a run's directory, named once.

    <run>/
      config.json            the configuration, as it was trained
      trained_on.json        name and digest of the data it was trained and validated on
      patches.json           sizes and um/px of the patches it was trained on
      appearance.json        what they look like; of older runs and few pairs there is none
      metrics.csv            losses, validation scores and seconds a step, a row an epoch
      tensorboard/           the same and the losses of every step, for TensorBoard
      checkpoints/           the latest and the best state, by step
      detection.json         tuned detection settings, where `ocelot_jax.tune` ran
      tuning.csv             validation scores of all settings that were tried
      failure.txt            of a sweep's run: why it failed
      evaluation/<split>/    of `ocelot_jax.evaluate`; `<split>-tta` and such are variants,
                             `<split>-on-<name>-<digest>` are of other data than the run's
        evaluation.json              the data, runs and settings that it comes from
        scores.json, scores.csv      scores by row: the population, each organ
        predictions.json             the cells found, in the challenge's format
        pairs.csv, cells.csv         every pair and every cell with its outcome
        tissue.npz                   the most likely tissue classes
        overlays.png                 some pairs with their cells

`runs.configuration` reads and writes the JSON files of a run, `runs.files` the tables,
`runs.checkpoints` the checkpoints.
"""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

# The cells that the official score counts, of each class: the kinds of columns of pairs.csv.
TRUE_POSITIVES, FALSE_POSITIVES, TRUE_CELLS = COUNTS = ('TP', 'FP', 'GT')

METRICS_COLUMNS = ('epoch', 'step')  # then losses, scores and
STEP_SECONDS = 'step_seconds'  # which an older run lacks
DETECTION_FIELDS = ('sigma_um', 'min_distance_um', 'threshold')  # then the temperature
TUNING_COLUMNS = (*DETECTION_FIELDS, 'mF1')  # then the F1 of each class
PAIRS_COLUMNS = ('pair_id', 'slide', 'organ')  # then `count_columns`
CELLS_COLUMNS = ('pair_id', 'x', 'y', 'class', 'score', 'matched', 'true')


def _file(name: str) -> property:
    return property(lambda self: self.path / name)


@dataclasses.dataclass(frozen=True)
class EvaluationDirectory:
    """The files of an evaluation, in `<run>/evaluation/<split><variant>`."""

    path: Path

    scores = _file('scores.json')  # written last: where it is, the evaluation is whole
    origin = _file('evaluation.json')
    scores_table = _file('scores.csv')
    predictions = _file('predictions.json')
    pairs = _file('pairs.csv')
    cells = _file('cells.csv')
    tissue = _file('tissue.npz')  # only where a branch learns the classes
    overlays = _file('overlays.png')
    run = property(lambda self: self.path.parents[1])
    split = property(lambda self: self.path.name)  # with the variant


@dataclasses.dataclass(frozen=True)
class RunDirectory:
    """The files of a run; the last four are not in every one."""

    path: Path

    config = _file('config.json')
    patches = _file('patches.json')
    appearance = _file('appearance.json')
    trained_on = _file('trained_on.json')
    metrics = _file('metrics.csv')
    tensorboard = _file('tensorboard')
    checkpoints = _file('checkpoints')
    evaluations = _file('evaluation')
    detection = _file('detection.json')
    tuning = _file('tuning.csv')
    failure = _file('failure.txt')

    def evaluation(self, split: str, variant: str = '') -> EvaluationDirectory:
        """Names the files of an evaluation; a variant such as '-tta' differs from the plain."""
        return EvaluationDirectory(self.evaluations / f'{split}{variant}')

    @property
    def is_run(self) -> bool:
        """Whether training left something here beside the configuration."""
        left = self.metrics, self.evaluations, self.checkpoints
        return self.config.is_file() and any(path.exists() for path in left)

    @property
    def deployed(self) -> tuple[Path, ...]:
        """What predictions are made from: all that a copy of the run for use elsewhere needs."""
        return self.config, self.patches, self.appearance, self.detection, self.checkpoints


def count_columns(cell_classes: Iterable[str]) -> list[str]:
    """Names the columns of `pairs.csv` that hold counts: those of a class together."""
    return [f'{kind}/{name}' for name in cell_classes for kind in COUNTS]
