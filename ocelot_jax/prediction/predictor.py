"""Runs that are ready to predict: cells and tissue of pairs and slides, in memory."""

import dataclasses
import functools
import importlib.metadata
import math
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging

from ocelot_jax.data.appearance import Appearance
from ocelot_jax.data.patches import Patches
from ocelot_jax.inference import engines
from ocelot_jax.inference.detector import Detector
from ocelot_jax.inference.engine import Engine
from ocelot_jax.io.errors import InputError
from ocelot_jax.io.names import AnyPath
from ocelot_jax.models import factory
from ocelot_jax.prediction import inputs, pairs
from ocelot_jax.prediction.inputs import Pairs
from ocelot_jax.prediction.pairs import FoundPair
from ocelot_jax.runs import loading
from ocelot_jax.runs.loading import LoadedRuns
from ocelot_jax.slides import fit, pipeline
from ocelot_jax.slides.result import SlideResult
from ocelot_jax.slides.slide import Slide

# Pairs whose looks are compared, and the share that may look odd: one in twenty does by chance.
_LOOKED_AT, _ODD = 64, 0.25

# Cell pixels of a batch on a CPU: with fewer its cores wait, more bring nothing.
_CPU_PIXELS = 512**2


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A trained network, or several whose probabilities are averaged, ready to predict.

    Attributes:
        runs: the weights, their configuration and where they lie.
        engine: computes class probabilities.
        batch_size: tissue patches computed at a time; None for what suits the device.
        given_patches: sizes of the patches, instead of those that the runs were trained on.
        takes_any_size: whether `engine` takes batches of any size.
    """

    runs: LoadedRuns
    engine: Engine
    batch_size: int | None = None
    given_patches: Patches | None = None
    takes_any_size: bool = False

    @property
    def cell_classes(self) -> tuple[str, ...]:
        """Names of the cells' labels 1, 2, ..."""
        return tuple(self.runs.config.data.cell_classes)

    @property
    def tissue_classes(self) -> tuple[str, ...]:
        """Names of the tissue's classes 0, 1, ..."""
        return tuple(self.runs.config.data.tissue_classes)

    @functools.cached_property
    def patches(self) -> Patches:
        """Sizes and um/px of the patches that are predicted.

        Raises:
            InputError: they differ between the runs.
        """
        return self.given_patches or self.runs.load_patches()

    def origin(self) -> dict[str, Any]:
        """Gives what made predictions, for people, as JSON holds it; see `LoadedRuns.identity`."""
        return self.runs.describe() | {'version': importlib.metadata.version('ocelot_jax')}

    def pairs_at_once(self, some: Pairs) -> int:
        """Gives how many of these pairs are computed at a time: no more than there are.

        Raises:
            InputError: the first pair cannot be read.
        """
        suitable = self.batch_size or _suitable_batch(len(some.read(0)['cell_image']))
        devices = jax.local_device_count()
        return min(suitable, math.ceil(len(some.names) / devices) * devices)

    @functools.cached_property
    def detector(self) -> Detector:
        """What finds cells in class probabilities, as the runs' settings want it."""
        return Detector(self.runs.config.detection)

    @functools.cached_property
    def appearances(self) -> Mapping[str, Appearance]:
        """What the patches of each run looked like in training, by the run's name."""
        return self.runs.load_appearances()

    def predict_pair(
        self,
        cell_image: np.ndarray,
        tissue_image: np.ndarray,
        center: Sequence[float] = (0.5, 0.5),
        *,
        cell_mpp: float | None = None,
        tissue_mpp: float | None = None,
    ) -> FoundPair:
        """Finds the cells in a cell patch, and the tissue in the tissue patch around it.

        A line in the log warns where the pair does not look like what the runs were trained on.
        The first pair of a size takes longer: its program is compiled.

        Args:
            cell_image: [H,H,3] uint8 RGB, the cell patch.
            tissue_image: [h,h,3] uint8 RGB, the tissue patch; not used where the network looks at
                none (Cell-only, or `data.large_fov` false).
            center: relative center (c_x, c_y) of the cell patch in the tissue patch.
            cell_mpp: micrometres per pixel of the cell patch; by default as in training.
            tissue_mpp: the same of the tissue patch.

        Raises:
            InputError: the images are no square 8-bit RGB, or the cell patch reaches out of the
                tissue patch.
        """
        mpps = cell_mpp or self.patches.cell_mpp, tissue_mpp or self.patches.tissue_mpp
        if not self.runs.looks_at_tissue:
            tissue_image, center, mpps = cell_image, (0.5, 0.5), (mpps[0], mpps[0])
        pair = inputs.pair_of_arrays(cell_image, tissue_image, center, mpps)
        for doubt in self.doubts(pair):
            logging.warning('%s', doubt)
        [found] = self.find(pair)  # to its end, where it warns of cells that were left out
        return found

    def predict_slide(
        self,
        path: AnyPath,
        *,
        mpp: float | None = None,
        override_mpp: bool = False,
        everywhere: bool = False,
        tumor_class: str | None = None,
    ) -> SlideResult:
        """Finds the cells and the tissue of a slide, and writes nothing.

        `predict_input` writes what it finds, and goes on where it was stopped.

        Args:
            path: the slide, or an image of one.
            mpp: micrometres per pixel at full resolution, where the file states none.
            override_mpp: whether `mpp` is right, whatever the file states.
            everywhere: whether to look at all of it, and not only where tissue seems to be.
            tumor_class: whose share of the cells is the tumor purity; None for TC among TC and BC.

        Returns:
            Cells in pixels of the slide at full resolution, the tissue map in memory, and what
            was warned of.

        Raises:
            MissingFileError: there is no such file.
            InputError: the slide is damaged, states no um/px, or is of a kind that is not read.
        """
        method = self.method(tumor_class)
        slide = Slide(path, mpp, override_mpp=override_mpp)
        with tempfile.TemporaryDirectory() as folder, slide:
            plan = pipeline.make_plan(slide, method, everywhere)
            found = pipeline.predict_slide(slide, method, plan, Path(folder), identity={})
            tissue = None if found.tissue is None else np.array(found.tissue)
        return dataclasses.replace(found, tissue=tissue, runs=self.runs.names)

    def find(self, some: Pairs) -> Iterator[FoundPair]:
        """Finds cells and tissue in pairs, in their order.

        Raises:
            InputError: a pair cannot be read, or its patches have another size.
        """
        config = self.runs.config
        return pairs.predict_pairs(
            some,
            self.engine,
            self.detector,
            batch_size=self.pairs_at_once(some),
            large_fov=config.data.large_fov,
            maps_tissue=factory.maps_tissue(config),
        )

    def doubts(self, some: Pairs) -> Iterator[str]:
        """Tells why what is found in pairs may be worth little: their um/px, their looks."""
        if self.given_patches is None:
            yield from self.runs.doubts_of_pairs(some.cell_mpps, some.tissue_mpps)
        else:
            tissue_mpps = some.tissue_mpps if self.runs.looks_at_tissue else ()
            if doubt := self.given_patches.doubt_of_pairs(some.cell_mpps, tissue_mpps):
                yield doubt
        if self.appearances:
            yield from _odd_looks(some, self.appearances)

    def method(self, tumor_class: str | None = None) -> pipeline.Method:
        """Gives how cells are found on slides.

        Args:
            tumor_class: see `predict_slide`.

        Raises:
            InputError: the runs know no such class.
        """
        config, p = self.runs.config, self.patches
        # cell windows are in the middle half of their tissue window
        side = max(p.cell_size, p.tissue_size * p.tissue_mpp / p.cell_mpp / 2)
        if tumor_class not in (None, *self.cell_classes):
            raise InputError(
                f'--tumor_class: {tumor_class} is no class of {self.runs.workdirs[0]}; '
                f'want one of {", ".join(self.cell_classes)}'
            )
        return pipeline.Method(
            engine=self.engine,
            detect=self.detector,
            patches=p,
            cell_classes=self.cell_classes,
            tissue_classes=self.tissue_classes,
            reads_tissue=factory.reads_tissue(factory.create_model(config)),
            maps_tissue=factory.maps_tissue(config),
            batch_size=self.batch_size or _suitable_batch(side),
            takes_any_size=self.takes_any_size,
            tumor_class=tumor_class,
            appearances=self.appearances,
        )


def load(
    workdirs: AnyPath | Sequence[AnyPath],
    *,
    test_time_augmentation: bool = False,
    engine: str = 'xla',
    detection: AnyPath | None = None,
    patches: Patches | None = None,
    batch_size: int | None = None,
) -> Predictor:
    """Makes a run, or several, ready to predict by their best epochs.

    Args:
        workdirs: a run's directory, or those of several whose probabilities are averaged.
        test_time_augmentation: whether to predict by means over the square's eight symmetries.
        engine: what computes the network, one of `inference.engines.ENGINES`.
        detection: a file with tuned detection settings, instead of those kept with the runs.
        patches: sizes of the patches, instead of those that the runs were trained on.
        batch_size: tissue patches computed at a time; None for what suits the device.

    Raises:
        MissingFileError: a directory holds no run, or a file is not there.
        InputError: something is wrong with the runs, or they do not fit together.
        MissingPackageError: the engine's program is not installed.
    """
    several = [workdirs] if isinstance(workdirs, str | os.PathLike) else workdirs
    runs = loading.load_runs(several, test_time_augmentation, detection=detection)
    if runs.config.model.context == 'label':
        raise InputError(
            f'{runs.workdirs[0]}: takes the true tissue as input (config.model.context is label), '
            'which is not known here; want a run of another kind'
        )
    devices = jax.local_device_count()
    if batch_size is not None and batch_size % devices:
        raise InputError(f'--batch_size: {batch_size}; want a multiple of the {devices} devices')
    return Predictor(
        runs,
        engines.of_runs(runs, engine),
        batch_size,
        patches,
        engines.takes_any_size(engine),
    )


def _suitable_batch(side: float) -> int:
    """How many tissue patches to compute at a time, by the side of what cell pixels each has."""
    per_device = max(1, int(_CPU_PIXELS / side**2)) if jax.default_backend() == 'cpu' else 4
    return per_device * jax.local_device_count()


def _odd_looks(some: Pairs, appearances: Mapping[str, Appearance]) -> Iterator[str]:
    """Tells of pairs that do not look like what the runs were trained on."""
    count = min(_LOOKED_AT, len(some.names))
    chosen = np.linspace(0, len(some.names) - 1, count).round().astype(int)
    images = [some.read(int(index))['cell_image'] for index in chosen]
    for each in fit.compare(appearances, images):
        start = f'{each.run}: ' if each.run else ''
        if each.doubt:
            yield each.doubt
        elif each.verdict.outside > _ODD:
            yield (
                f'{start}{each.verdict.outside:.0%} of {each.verdict.patches} pairs do not look '
                'like what the run was trained on: expect little of them'
            )
