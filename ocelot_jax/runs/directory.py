"""Every path, file and column in a run's directory, named once.

    <run>/
      config.json            the configuration, as it was trained
      patches.json           sizes and um/px of the patches it was trained on
      metrics.csv            losses and validation scores, a row an epoch
      tensorboard/           the same and the losses of every step, for TensorBoard
      checkpoints/           the latest and the best state, by step
      detection.json         tuned detection settings, where `ocelot_jax.tune` ran
      tuning.csv             validation scores of all settings that were tried
      failure.txt, lock      of a sweep's run: why it failed; who trains it
      evaluation/<split>/    of `ocelot_jax.evaluate`; `<split>-tta` and such are variants
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

METRICS_COLUMNS = ('epoch', 'step')  # then losses and scores
DETECTION_FIELDS = ('sigma_um', 'min_distance_um', 'threshold')
TUNING_COLUMNS = (*DETECTION_FIELDS, 'mF1')  # then the F1 of each class
PAIRS_COLUMNS = ('pair_id', 'slide', 'organ')  # then `count_columns`
CELLS_COLUMNS = ('pair_id', 'x', 'y', 'class', 'score', 'matched', 'true')


@dataclasses.dataclass(frozen=True)
class EvaluationDirectory:
    """The files of a run's evaluation on a split.

    Attributes:
        path: the directory, `<run>/evaluation/<split><variant>`.
    """

    path: Path

    @property
    def scores(self) -> Path:
        """Scores by row, as JSON; written last: where it is, the evaluation is whole."""
        return self.path / 'scores.json'

    @property
    def scores_table(self) -> Path:
        """The same scores as CSV."""
        return self.path / 'scores.csv'

    @property
    def predictions(self) -> Path:
        """The cells found, in the challenge's format."""
        return self.path / 'predictions.json'

    @property
    def pairs(self) -> Path:
        """The counts of each pair."""
        return self.path / 'pairs.csv'

    @property
    def cells(self) -> Path:
        """Every cell with its outcome."""
        return self.path / 'cells.csv'

    @property
    def tissue(self) -> Path:
        """The most likely tissue classes; only where a branch learns them."""
        return self.path / 'tissue.npz'

    @property
    def overlays(self) -> Path:
        """Some pairs with their cells."""
        return self.path / 'overlays.png'

    @property
    def run(self) -> Path:
        """The run's directory."""
        return self.path.parents[1]

    @property
    def split(self) -> str:
        """The split, with the variant."""
        return self.path.name


@dataclasses.dataclass(frozen=True)
class RunDirectory:
    """The files of a run.

    Attributes:
        path: the directory.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The configuration, as it was trained."""
        return self.path / 'config.json'

    @property
    def patches(self) -> Path:
        """Sizes of the patches it was trained on."""
        return self.path / 'patches.json'

    @property
    def metrics(self) -> Path:
        """Losses and validation scores of each epoch."""
        return self.path / 'metrics.csv'

    @property
    def tensorboard(self) -> Path:
        """Folder of TensorBoard's files."""
        return self.path / 'tensorboard'

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / 'checkpoints'

    @property
    def detection(self) -> Path:
        """The detection settings chosen on validation; missing where nobody tuned."""
        return self.path / 'detection.json'

    @property
    def tuning(self) -> Path:
        """Validation scores of all detection settings that were tried."""
        return self.path / 'tuning.csv'

    @property
    def failure(self) -> Path:
        """Why a sweep's run failed; missing where it did not."""
        return self.path / 'failure.txt'

    @property
    def lock(self) -> Path:
        """Locked by the process of a sweep that trains the run."""
        return self.path / 'lock'

    @property
    def evaluations(self) -> Path:
        """Folder of the evaluations."""
        return self.path / 'evaluation'

    def evaluation(self, split: str, variant: str = '') -> EvaluationDirectory:
        """Names the files of an evaluation.

        Args:
            split: 'train', 'validation' or 'test'.
            variant: how it differs from the plain one, such as '-tta'.
        """
        return EvaluationDirectory(self.evaluations / f'{split}{variant}')

    @property
    def is_run(self) -> bool:
        """Whether training left something here beside the configuration."""
        left = self.metrics, self.evaluations, self.checkpoints
        return self.config.is_file() and any(path.exists() for path in left)

    @property
    def deployed(self) -> tuple[Path, ...]:
        """What predictions are made from: all that a copy of the run for use elsewhere needs."""
        return self.config, self.patches, self.detection, self.checkpoints


def count_columns(cell_classes: Iterable[str]) -> list[str]:
    """Names the columns of `pairs.csv` that hold counts: those of a class together."""
    return [f'{kind}/{name}' for name in cell_classes for kind in COUNTS]
