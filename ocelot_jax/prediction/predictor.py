"""Cells and tissue of whatever the user gives: pairs or slides, by one run or several.

`ocelot_jax.predict` lists what the input may be and what is written of it.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from absl import logging

from ocelot_jax.data import pair_folder, release
from ocelot_jax.data.appearance import Appearance
from ocelot_jax.inference.detector import Detector
from ocelot_jax.io import disk, names
from ocelot_jax.io.errors import InputError, MissingFileError
from ocelot_jax.models import factory
from ocelot_jax.prediction import inputs, pair_files, pairs, slides
from ocelot_jax.prediction.setup import DEFAULTS, Options, apply_runs
from ocelot_jax.runs import loading
from ocelot_jax.slides import fit
from ocelot_jax.slides.collection import Outcome

CHALLENGE_FILE = 'cell_classification.json'

# Pairs whose looks are compared, and the share that may look odd: one in twenty does by chance.
_LOOKED_AT, _ODD = 64, 0.25
# Options that some input has no use for.
_OF_SLIDES = ('recursive', 'everywhere', 'tumor_class', 'propose', 'override_mpp')
_OF_ONE_PAIR = ('center', 'tissue_mpp')


def predict_input(
    workdirs: Sequence[Path],
    source: Path,
    output: Path,
    options: Options = DEFAULTS,
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
    for path in (source, output):
        names.check(path)
    holds_pairs = _holds_pairs(source, options)
    if (not options.workers.here or options.shard != (0, 1)) and (
        holds_pairs or not source.is_dir()
    ):
        raise InputError(
            f'{source}: is no directory of slides, which --workers, --scheduler and --shard '
            'share out; want one, or none of these flags'
        )
    _check_use(source, options, holds_pairs)
    if not options.dry_run:
        disk.make_folder(output)
    outcomes = []
    predict = _predict_pairs if holds_pairs else slides.predict
    with disk.full_as_error(output):
        for outcome in predict(workdirs, source, output, options):
            report(outcome)
            outcomes.append(outcome)
    return outcomes


def _holds_pairs(source: Path, options: Options) -> bool:
    return (
        options.tissue is not None or inputs.is_challenge(source) or inputs.is_pair_folder(source)
    )


def _check_use(source: Path, options: Options, holds_pairs: bool) -> None:
    """Refuses what is given and would not be used: results would not be what they seem."""
    unused = {}
    if holds_pairs:
        unused |= dict.fromkeys(_OF_SLIDES, 'slides')
    if options.tissue is None:
        unused |= dict.fromkeys(_OF_ONE_PAIR, 'one pair, beside --tissue')
        if holds_pairs:
            unused['mpp'] = 'slides or one pair; these state theirs in metadata.json'
    if not holds_pairs or options.tissue is not None or inputs.is_challenge(source):
        unused['split'] = "pairs in OCELOT's layout"
    for name, use in unused.items():
        if getattr(options, name) not in (None, False):
            raise InputError(
                f'--{name}: is for {use}, and would not be used of {source}; want it left out'
            )


def _find_pairs(
    source: Path, loaded: loading.LoadedRuns, options: Options
) -> Iterator[tuple[str, inputs.Pairs]]:
    """Sets of pairs by the path of their results in the output."""
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
    else:
        splits = pair_folder.PairFolder(source, annotated=False).splits
        for split in [release.split_name(options.split)] if options.split else splits:
            yield split, inputs.folder_pairs(source, split)


def _predict_pairs(
    workdirs: Sequence[Path], source: Path, output: Path, options: Options
) -> Iterator[Outcome]:
    applied = apply_runs(workdirs, options)
    loaded, engine, batch_size = applied.loaded, applied.engine, applied.batch_size
    config = loaded.config
    sets = dict(_find_pairs(source, loaded, options))
    appearances = loaded.load_appearances()
    for name, some in sets.items():
        for doubt in (*_doubts(some.cell_mpps, loaded, options), *_odd_looks(some, appearances)):
            logging.warning('%s', doubt)
        detect = Detector(config.detection)
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


def _doubts(
    cell_mpps: Sequence[float], loaded: loading.LoadedRuns, options: Options
) -> Iterator[str]:
    """Tells of pairs at another um/px than the runs were trained on."""
    if options.patches is None:
        yield from loaded.doubts_of_pairs(cell_mpps)
    elif doubt := options.patches.doubt_of_pairs(cell_mpps):
        yield doubt


def _odd_looks(some: inputs.Pairs, appearances: Mapping[str, Appearance]) -> Iterator[str]:
    """Tells of pairs that do not look like what the runs were trained on."""
    if not appearances:
        return
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
