"""Cells and tissue of whatever the user gives, pairs or slides, to files.

`ocelot_jax.predict` lists what the input may be and what is written of it.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from absl import logging

from ocelot_jax.data import pair_folder, release
from ocelot_jax.io import disk, names
from ocelot_jax.io.errors import InputError, MissingFileError
from ocelot_jax.io.names import AnyPath
from ocelot_jax.prediction import inputs, slides
from ocelot_jax.prediction.options import DEFAULTS, Options, load_predictor
from ocelot_jax.prediction.predictor import Predictor
from ocelot_jax.slides.collection import Outcome

CHALLENGE_FILE = 'cell_classification.json'

# Options that some input has no use for.
_OF_SLIDES = ('recursive', 'everywhere', 'tumor_class', 'propose', 'override_mpp')
_OF_ONE_PAIR = ('center', 'tissue_mpp')


def predict_input(
    workdirs: Sequence[AnyPath],
    source: AnyPath,
    output: AnyPath,
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
    source, output = Path(source), Path(output)
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
        for outcome in predict(list(map(Path, workdirs)), source, output, options):
            report(outcome)
            outcomes.append(outcome)
    return outcomes


def _holds_pairs(source: Path, options: Options) -> bool:
    return (
        options.tissue is not None or inputs.is_challenge(source) or inputs.is_pair_folder(source)
    )


def _check_use(source: Path, options: Options, holds_pairs: bool) -> None:
    """Refuses what is given and would not be used: results would not be what they seem."""
    unused: dict[str, str] = {}
    if holds_pairs:
        unused |= dict.fromkeys(_OF_SLIDES, 'slides')
    if source.is_file():
        unused['recursive'] = 'a directory'
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
    source: Path, predictor: Predictor, options: Options
) -> Iterator[tuple[str, inputs.Pairs]]:
    """Sets of pairs by the path of their results in the output."""
    if options.tissue is not None:
        if options.center is None:
            raise InputError('--tissue: wants --center=x,y, the cell patch in the tissue patch')
        # no table, which `Options` refuses beside --tissue
        cell_mpp = None if isinstance(options.mpp, Path) else options.mpp
        tissue_mpp = options.tissue_mpp
        if not (cell_mpp and tissue_mpp):
            known = predictor.patches
            cell_mpp, tissue_mpp = cell_mpp or known.cell_mpp, tissue_mpp or known.tissue_mpp
        if predictor.runs.looks_at_tissue:
            place = options.tissue, options.center, (cell_mpp, tissue_mpp)
        else:
            place = source, (0.5, 0.5), (cell_mpp, cell_mpp)
        yield '', inputs.one_pair(source, *place)
    elif inputs.is_challenge(source):
        count = len(predictor.cell_classes)
        if count != 2:
            raise InputError(
                f'{predictor.runs.workdirs[0]}: knows {count} classes of cells; '
                'the challenge wants 2'
            )
        yield CHALLENGE_FILE, inputs.challenge_pairs(source)
    else:
        splits = pair_folder.PairFolder(source, annotated=False).splits
        for split in [release.split_name(options.split)] if options.split else splits:
            yield split, inputs.folder_pairs(source, split)


def _predict_pairs(
    workdirs: Sequence[Path], source: Path, output: Path, options: Options
) -> Iterator[Outcome]:
    from ocelot_jax.prediction import pair_files  # loads what draws; errors come before

    predictor = load_predictor(workdirs, options)
    for name, some in dict(_find_pairs(source, predictor, options)).items():
        doubts = list(predictor.doubts(some))
        for doubt in doubts:
            logging.warning('%s', doubt)
        if options.dry_run:
            yield _estimate(name, some, predictor)
            continue
        found = list(predictor.find(some))
        target = output / name
        if name == CHALLENGE_FILE:
            pair_files.write_challenge(found, target, predictor.cell_classes)
        else:
            crowded = predictor.detector.doubt_of_crowded(sum(pair.crowded for pair in found))
            origin = predictor.origin() | {
                'input': source.name,
                'warnings': [*doubts, *filter(None, [crowded])],
                'depends_on': predictor.runs.identity() | {'engine': options.engine},
            }
            pair_files.write(found, target, predictor.cell_classes, origin)
        count = sum(len(pair.cells) for pair in found)
        yield Outcome(f'{target}: {count} cells in {len(found)} pairs')


def _estimate(name: str, some: inputs.Pairs, predictor: Predictor) -> Outcome:
    few = dataclasses.replace(some, names=some.names[: 3 * predictor.pairs_at_once(some)])
    for _ in range(2):  # the first time compiles
        start = time.monotonic()
        list(predictor.find(few))
        seconds = (time.monotonic() - start) / len(few.names)
    return Outcome(f'{name or some.names[0]}: {len(some.names)} pairs, {seconds:.2f} s each')
