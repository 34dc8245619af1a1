"""Cells and tissue of whatever the user gives: pairs or slides, by one run or several.

`ocelot_jax.predict` lists what the input may be and what is written of it.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jax
from absl import logging

from ocelot_jax.data import pair_folder, release
from ocelot_jax.data.patches import Patches
from ocelot_jax.inference import engines
from ocelot_jax.inference.detector import Detector
from ocelot_jax.inference.engine import Engine
from ocelot_jax.io import disk
from ocelot_jax.io.errors import InputError, MissingFileError
from ocelot_jax.models import factory
from ocelot_jax.prediction import inputs, pair_files, pairs
from ocelot_jax.runs import loading
from ocelot_jax.slides import collection, pipeline
from ocelot_jax.slides.collection import Outcome

CHALLENGE_FILE = 'cell_classification.json'

_MPP_TOLERANCE = 1.25


@dataclasses.dataclass(frozen=True)
class Options:
    """How to read the input and how to predict.

    Attributes:
        tissue: image of the tissue patch, where the input is a cell patch.
        center: relative center (c_x, c_y) of the cell patch in the tissue patch.
        mpp: um per pixel of slides, instead of what their files state, or of the cell patch.
        tissue_mpp: um per pixel of the tissue patch.
        split: the one split of a directory in OCELOT's layout to predict.
        everywhere: whether to look at all of a slide, not only where tissue seems to be.
        test_time_augmentation: whether to predict by means over eight symmetries.
        engine: what computes the network, one of `engines.ENGINES`.
        patches: sizes of the patches, instead of those that the run was trained on.
        batch_size: tissue patches computed at a time; None for what suits the device.
        dry_run: whether to tell what would be done, and do nothing.
    """

    tissue: Path | None = None
    center: tuple[float, float] | None = None
    mpp: float | None = None
    tissue_mpp: float | None = None
    split: str | None = None
    everywhere: bool = False
    test_time_augmentation: bool = False
    engine: str = 'xla'
    patches: Patches | None = None
    batch_size: int | None = None
    dry_run: bool = False


def predict_input(
    workdirs: Sequence[Path],
    source: Path,
    output: Path,
    options: Options = Options(),
    report: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Finds the cells, and the tissue, in whatever `source` is, and writes them.

    Args:
        workdirs: directories of one run, or of several whose probabilities are averaged.
        source: a cell patch, pairs in OCELOT's layout, the challenge's stacks, or slides.
        output: the folder to write to; made if it is not there.
        options: how to read the input and how to predict.
        report: called with each outcome, once it is written.

    Returns:
        What became of each slide or set of pairs.

    Raises:
        MissingFileError: something is not there.
        OutputError: the output cannot be written.
        InputError: something is wrong with the input or the runs.
    """
    if not source.exists():
        raise MissingFileError(f'{source}: no such file or directory; see --input')
    loaded = loading.load_runs(workdirs, options.test_time_augmentation)
    if loaded.config.model.context == 'label':
        raise InputError(
            f'{workdirs[0]}: takes the true tissue as input (config.model.context is label), '
            'which is not known here; want a run of another kind'
        )
    engine = engines.of_runs(loaded, options.engine)
    batch_size = _choose_batch_size(options.batch_size)
    if not options.dry_run:
        disk.make_folder(output)
    sets = dict(_find_pairs(source, loaded, options))
    method = loaded, engine, batch_size, output, options
    outcomes = []
    with disk.full_as_error(output):
        for outcome in _predict_pairs(sets, *method) if sets else _predict_slides(source, *method):
            report(outcome)
            outcomes.append(outcome)
    return outcomes


def _choose_batch_size(wanted: int | None) -> int:
    devices = jax.local_device_count()
    size = wanted or devices * (1 if jax.default_backend() == 'cpu' else 4)
    if size % devices:
        raise InputError(f'--batch_size: {size}; want a multiple of the {devices} devices')
    return size


def _find_pairs(
    source: Path, loaded: loading.LoadedRuns, options: Options
) -> Iterator[tuple[str, inputs.Pairs]]:
    """Sets of pairs by the path of their results in the output; none where the input is slides."""
    if options.tissue is not None:
        if options.center is None:
            raise InputError('--tissue: wants --center=x,y, the cell patch in the tissue patch')
        mpps = options.mpp, options.tissue_mpp
        if not all(mpps):
            known = options.patches or loaded.load_patches()
            mpps = mpps[0] or known.cell_mpp, mpps[1] or known.tissue_mpp
        yield '', inputs.one_pair(source, options.tissue, options.center, mpps)
    elif inputs.is_challenge(source):
        count = len(loaded.config.data.cell_classes)
        if count != 2:
            raise InputError(
                f'{loaded.workdirs[0]}: knows {count} classes of cells; the challenge wants 2'
            )
        yield CHALLENGE_FILE, inputs.challenge_pairs(source)
    elif inputs.is_pair_folder(source):
        splits = pair_folder.PairFolder(source, annotated=False).splits
        for split in [release.split_name(options.split)] if options.split else splits:
            yield split, inputs.folder_pairs(source, split)


def _predict_pairs(
    sets: dict[str, inputs.Pairs],
    loaded: loading.LoadedRuns,
    engine: Engine,
    batch_size: int,
    output: Path,
    options: Options,
) -> Iterator[Outcome]:
    config = loaded.config
    for name, some in sets.items():
        mpp = float(some.read(0)['cell_mpp'])
        _warn_of_mpp(mpp, loaded, options)
        detect = Detector(config.detection, mpp)
        method = {
            'batch_size': batch_size,
            'large_fov': config.data.large_fov,
            'maps_tissue': factory.maps_tissue(config),
        }
        if options.dry_run:
            few = dataclasses.replace(some, names=some.names[: 3 * batch_size])
            for _ in range(2):  # the first time compiles
                start = time.monotonic()
                list(pairs.predict_pairs(few, engine, detect, **method))
                seconds = (time.monotonic() - start) / len(few.names)
            yield Outcome(
                f'{name or some.names[0]}: {len(some.names)} pairs, {seconds:.2f} s each'
            )
            continue
        found = list(pairs.predict_pairs(some, engine, detect, **method))
        target = output / name
        if name == CHALLENGE_FILE:
            pair_files.write_challenge(found, target, config.data.cell_classes)
        else:
            pair_files.write(found, target, config.data.cell_classes)
        count = sum(len(pair.cells) for pair in found)
        yield Outcome(f'{target}: {count} cells in {len(found)} pairs')


def _predict_slides(
    source: Path,
    loaded: loading.LoadedRuns,
    engine: Engine,
    batch_size: int,
    output: Path,
    options: Options,
) -> Iterator[Outcome]:
    config = loaded.config
    patches = options.patches or loaded.load_patches()
    method = pipeline.Method(
        engine=engine,
        detect=Detector(config.detection, patches.cell_mpp),
        patches=patches,
        cell_classes=tuple(config.data.cell_classes),
        tissue_classes=tuple(config.data.tissue_classes),
        reads_tissue=factory.reads_tissue(factory.create_model(config)),
        maps_tissue=factory.maps_tissue(config),
        batch_size=batch_size,
    )
    paths = collection.find_slides(source) if source.is_dir() else [source]
    paths = paths[jax.process_index() :: jax.process_count()]
    shared = {'mpp': options.mpp, 'everywhere': options.everywhere}
    if options.dry_run:
        yield from collection.estimate_slides(paths, method, **shared)
    else:
        identity = loaded.describe() | {'engine': options.engine}
        yield from collection.predict_slides(paths, method, output, identity, **shared)


def _warn_of_mpp(mpp: float, loaded: loading.LoadedRuns, options: Options) -> None:
    """Warns of pairs at another um/px than the run was trained on: they are not resampled."""
    try:
        wanted = (options.patches or loaded.load_patches()).cell_mpp
    except InputError:  # runs of an ensemble may differ in it
        return
    if not 1 / _MPP_TOLERANCE < mpp / wanted < _MPP_TOLERANCE:
        logging.warning(
            'the cell patches have %.3g um/px, but the run was trained at %.3g; expect little',
            mpp,
            wanted,
        )
