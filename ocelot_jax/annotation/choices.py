"""How pairs are made of annotated slides."""

import dataclasses
from pathlib import Path
from typing import Any

from ocelot_jax.annotation import splitting
from ocelot_jax.annotation.classes import Classes
from ocelot_jax.data.patches import Patches
from ocelot_jax.io.errors import InputError


@dataclasses.dataclass(frozen=True)
class Choices:
    """How pairs are made.

    Attributes:
        patches: sizes of the patches.
        cell_classes: classes of cells, for labels from 1.
        tissue_classes: classes of tissue, for values from 1 on disk; the background first.
        roi_class: the class of the areas in which every cell is annotated.
        mpp: um/px of slides whose files state none, or a CSV file, see `given_mpp.read`.
        override_mpp: whether `mpp` holds for slides whose files state another, too.
        shares: of the pairs in train, validation and test.
        seed: of the splits.
        split_by: what lies in one split: all pairs of a 'patient', of a 'slide', of a 'roi'.
        organ: of all slides.
        recursive: whether to look in the folders within, too.

    Raises:
        InputError: some make no sense.
    """

    patches: Patches
    cell_classes: Classes
    tissue_classes: Classes
    roi_class: str = 'ROI'
    mpp: float | Path | None = None
    override_mpp: bool = False
    shares: tuple[float, ...] = (0.6, 0.2, 0.2)
    seed: int = 0
    split_by: str = 'patient'
    organ: str = 'unknown'
    recursive: bool = False

    def __post_init__(self) -> None:
        splitting.check_shares(self.shares)
        if self.override_mpp and self.mpp is None:
            raise InputError('--override_mpp: wants --mpp, the um/px to take; want both or none')
        self.patches.check()
        for flag, classes in (('cell', self.cell_classes), ('tissue', self.tissue_classes)):
            if self.roi_class in classes.labels:
                raise InputError(
                    f'--{flag}_classes: has {self.roi_class}, the class of --roi_class; want two'
                )

    def record(self) -> dict[str, Any]:
        """All of them as JSON values."""
        record = dataclasses.asdict(self)
        record['mpp'] = self.mpp.name if isinstance(self.mpp, Path) else self.mpp
        return record
