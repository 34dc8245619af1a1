"""How a command reads its input and predicts."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from ocelot_jax.cluster.pool import HERE, Workers
from ocelot_jax.data.patches import Patches
from ocelot_jax.io.errors import InputError
from ocelot_jax.prediction import predictor
from ocelot_jax.prediction.predictor import Predictor


@dataclasses.dataclass(frozen=True)
class Options:
    """How to read the input and how to predict.

    Attributes:
        tissue: image of the tissue patch, where the input is a cell patch.
        center: relative center (c_x, c_y) of the cell patch in the tissue patch.
        mpp: um per pixel of the cell patch, or of slides whose files state none; for slides it
            may be a CSV file, see `given_mpp.read`.
        override_mpp: whether `mpp` holds for slides whose files state another, too.
        tissue_mpp: um per pixel of the tissue patch.
        split: the one split of a directory in OCELOT's layout to predict.
        recursive: whether a directory of slides is all that lies below it, too.
        everywhere: whether to look at all of a slide, not only where tissue seems to be.
        tumor_class: the class of cells whose share of a slide's is its tumor purity; None for TC
            among TC and BC.
        propose: how many regions of each slide to propose for correction, where any.
        test_time_augmentation: whether to predict by means over eight symmetries.
        engine: what computes the network, one of `engines.ENGINES`.
        detection: a file with tuned detection settings, instead of those kept with the runs.
        patches: sizes of the patches, instead of those that the run was trained on.
        batch_size: tissue patches computed at a time; None for what suits the device.
        workers: who predicts the slides of a directory.
        shard: (i, n), to predict every n-th slide of a directory alone, beginning with the i-th.
        dry_run: whether to tell what would be done, and do nothing.

    Raises:
        InputError: some contradict each other.
    """

    tissue: Path | None = None
    center: tuple[float, float] | None = None
    mpp: float | Path | None = None
    override_mpp: bool = False
    tissue_mpp: float | None = None
    split: str | None = None
    recursive: bool = False
    everywhere: bool = False
    tumor_class: str | None = None
    propose: int | None = None
    test_time_augmentation: bool = False
    engine: str = 'xla'
    detection: Path | None = None
    patches: Patches | None = None
    batch_size: int | None = None
    workers: Workers = HERE
    shard: tuple[int, int] = (0, 1)
    dry_run: bool = False

    def __post_init__(self) -> None:
        if self.override_mpp and self.mpp is None:
            raise InputError('--override_mpp: wants --mpp, the um/px to take; want both or none')
        if self.tissue is not None and isinstance(self.mpp, Path):
            raise InputError(f'--mpp: {self.mpp}; want a number beside --tissue, for one patch')


DEFAULTS = Options()


def load_predictor(workdirs: Sequence[Path], options: Options) -> Predictor:
    """Makes runs ready to predict as the options want it; see `predictor.load`."""
    return predictor.load(
        workdirs,
        test_time_augmentation=options.test_time_augmentation,
        engine=options.engine,
        detection=options.detection,
        patches=options.patches,
        batch_size=options.batch_size,
    )
