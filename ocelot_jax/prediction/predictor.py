"""Finds cells: `python -m ocelot_jax.predict --workdir=RUN --input=X --output=DIR`.

What X may be, and what is written to DIR:

| `--input` | output |
|---|---|
| a cell patch, with `--tissue=IMAGE --center=x,y` | see `pairs.write_pairs` |
| a directory or zip in OCELOT's layout, annotated or not | the same, in a folder per split |
| the challenge's stacks (`images/cell_patches/*.tif`, ...) | `cell_classification.json` |
| a slide (OpenSlide's formats) or a large image | a folder, see `slides.outputs` |
| a directory of slides | a folder per slide |

Several runs, `--workdir=RUN1,RUN2`, vote. Killed, the same command goes on with a slide where it
was. Started several times at once, it shares a directory of slides: processes that see the same
output leave each other's slides alone, and with `--distributed` each host takes a part of its own.
"""

import dataclasses
import errno
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
from absl import logging

from ocelot_jax.data import pair_folder, release
from ocelot_jax.data.patches import Patches
from ocelot_jax.inference import engines, loop
from ocelot_jax.io.errors import InputError, MissingFileError, OutputError
from ocelot_jax.models import factory
from ocelot_jax.prediction import pairs
from ocelot_jax.runs import loading
from ocelot_jax.slides import collection, pipeline

CHALLENGE_FILE = 'cell_classification.json'

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MPP_TOLERANCE = 1.25


@dataclasses.dataclass(frozen=True)
class Options:
    """How to read the input and how to predict.

    Attributes:
        tissue: image of the tissue patch, where the input is a cell patch.
        center: relative center (c_x, c_y) of the cell patch in the tissue patch.
        mpp: um per pixel of slides, where they do not tell it, or of the cell patch.
        tissue_mpp: um per pixel of the tissue patch.
        split: the one split of a directory in OCELOT's layout to predict.
        everywhere: whether to look at all of a slide, not only where tissue seems to be.
        test_time_augmentation: whether to predict by means over eight symmetries.
        engine: what computes the network, one of `engines.ENGINES`.
        patches: what the run was trained on, where it does not tell.
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


def predict(
    workdirs: Sequence[Path], source: Path, output: Path, options: Options = Options()
) -> None:
    """Finds the cells, and the tissue, in whatever `source` is.

    Args:
        workdirs: directories of one run, or of several that vote.
        source: see the module.
        output: the folder to write to; made if it is not there.
        options: see there.

    Raises:
        MissingFileError: something is not there.
        OSError: the output cannot be written.
        InputError: something is wrong with the input or the runs.
    """
    if not source.exists():
        raise MissingFileError(f'{source}: no such file or directory; see --input')
    model = loading.load_runs(workdirs, options.test_time_augmentation)
    if model.config.model.context == 'label':
        raise InputError(
            f'{workdirs[0]}: is told the true tissue (config.model.context is label), which '
            'nobody knows here; want a run of another kind'
        )
    engine = engines.of_runs(model, options.engine)
    devices = jax.local_device_count()
    size = options.batch_size or devices * (1 if jax.default_backend() == 'cpu' else 4)
    if size % devices:
        raise InputError(f'--batch_size: {size}; want a multiple of the {devices} devices')
    if not options.dry_run:
        _check_writable(output)
    try:
        sets = dict(_pair_sets(source, model, options))
        if sets:
            _predict_pairs(sets, model, engine, size, output, options)
        else:
            _predict_slides(source, model, engine, size, output, options)
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise OutputError(
                f'{output}: the disk is full ({error.strerror}); what is complete is kept, and '
                'the same command goes on there'
            ) from error
        raise


def _pair_sets(
    source: Path, model: loading.LoadedRuns, options: Options
) -> Iterator[tuple[str, pairs.Pairs]]:
    """Sets of pairs by the path of their results in the output; none where the input is slides."""
    if options.tissue is not None:
        if options.center is None:
            raise InputError('--tissue: wants --center=x,y, the cell patch in the tissue patch')
        mpps = options.mpp, options.tissue_mpp
        if not all(mpps):
            known = options.patches or model.load_patches()
            mpps = mpps[0] or known.cell_mpp, mpps[1] or known.tissue_mpp
        yield '', pairs.one_pair(source, options.tissue, options.center, mpps)
    elif (source / 'images/cell_patches').is_dir():
        if len(model.config.data.cell_classes) != 2:
            raise InputError(
                f'{model.workdirs[0]}: knows {len(model.config.data.cell_classes)} classes of '
                'cells; the challenge wants 2'
            )
        yield CHALLENGE_FILE, pairs.challenge_pairs(source)
    elif source.suffix == '.zip' or _holds_pairs(source):
        splits = pair_folder.PairFolder(source, annotated=False).splits
        for split in [release.split_name(options.split)] if options.split else splits:
            yield split, pairs.folder_pairs(source, split)


def _holds_pairs(source: Path) -> bool:
    """Whether a directory is in OCELOT's layout."""
    if not source.is_dir():
        return False
    return (source / 'metadata.json').exists() or any(source.glob('*/metadata.json'))


def _predict_pairs(
    sets: dict[str, pairs.Pairs],
    model: loading.LoadedRuns,
    engine: loop.Engine,
    batch_size: int,
    output: Path,
    options: Options,
) -> None:
    config = model.config
    for name, some in sets.items():
        mpp = float(some.read(0)['cell_mpp'])
        _warn_of_mpp(mpp, model, options)
        detect = loop.Detector(config, mpp)
        method = {
            'batch_size': batch_size,
            'large_fov': config.data.get('large_fov', True),
            'maps_tissue': factory.maps_tissue(config),
        }
        if options.dry_run:
            few = dataclasses.replace(some, names=some.names[: 3 * batch_size])
            pairs.predict_pairs(few, engine, detect, **method)
            start = time.monotonic()
            pairs.predict_pairs(few, engine, detect, **method)
            seconds = (time.monotonic() - start) / len(few.names)
            print(f'{name or some.names[0]}: {len(some.names)} pairs, {seconds:.2f} s each')
            continue
        found = pairs.predict_pairs(some, engine, detect, **method)
        if name == CHALLENGE_FILE:
            pairs.write_challenge(found, output / name, config.data.cell_classes)
        else:
            pairs.write_pairs(found, output / name, config.data.cell_classes)
        print(f'{output / name}: {sum(len(f.labels) for f in found)} cells in {len(found)} pairs')


def _predict_slides(
    source: Path,
    model: loading.LoadedRuns,
    engine: loop.Engine,
    batch_size: int,
    output: Path,
    options: Options,
) -> None:
    config = model.config
    patches = options.patches or model.load_patches()
    method = pipeline.Method(
        engine=engine,
        detect=loop.Detector(config, patches.cell_mpp),
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
        collection.estimate_slides(paths, method, **shared)
    else:
        identity = model.describe() | {'engine': options.engine}
        collection.predict_slides(paths, method, output, identity, **shared)


def _warn_of_mpp(mpp: float, model: loading.LoadedRuns, options: Options) -> None:
    """Pairs are taken as they are, which suits those that the run was not trained on ill."""
    try:
        wanted = (options.patches or model.load_patches()).cell_mpp
    except (OSError, ValueError):
        return
    if not 1 / _MPP_TOLERANCE < mpp / wanted < _MPP_TOLERANCE:
        logging.warning(
            'the cell patches have %.3g um/px, but the run was trained at %.3g; expect little',
            mpp,
            wanted,
        )


def _check_writable(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output) as file:
            file.write(b'.')
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise
        raise OutputError(
            f'{output}: cannot be written ({os.strerror(error.errno)}); choose another --output'
        ) from None


def _parse_numbers(flag: str, text: str | None, names: str) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        numbers = tuple(float(part) for part in text.split(','))
    except ValueError:
        numbers = ()
    if len(numbers) != len(names.split(',')):
        raise InputError(f'--{flag}: {text!r}; want {names} as numbers')
    return numbers
