"""Slides, one or a directory of them."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ocelot_jax.cluster import pool as pool_lib
from ocelot_jax.cluster.pool import Ended, Perform
from ocelot_jax.prediction import given_mpp
from ocelot_jax.prediction.options import Options, load_predictor
from ocelot_jax.slides import collection, finding, prediction
from ocelot_jax.slides.collection import Outcome
from ocelot_jax.slides.readers.isolated import ReadingProcess


def predict(
    workdirs: Sequence[Path], source: Path, output: Path, options: Options
) -> Iterator[Outcome]:
    """Predicts a slide, or the slides of a directory, here or on a cluster.

    Yields:
        What became of each.

    Raises:
        OutputError: the output cannot be written.
        InputError: something is wrong with a slide or the runs.
    """
    if not options.workers.here:
        # other machines have other working directories
        workdirs, source, output = (
            [w.absolute() for w in workdirs],
            source.absolute(),
            output.absolute(),
        )
    index, count = options.shard
    slides = _find(source, options)
    mpps = given_mpp.of_slides(options.mpp, slides, source if source.is_dir() else None)
    slides = dict(list(slides.items())[index::count])
    prepare = functools.partial(prepare_worker, tuple(workdirs), output, options, mpps)
    if options.dry_run:
        method = load_predictor(workdirs, options).method(options.tumor_class)
        yield from collection.estimate_slides(
            slides,
            method,
            mpps,
            options.override_mpp,
            options.everywhere,
            ReadingProcess().open,
        )
    elif source.is_dir():
        with pool_lib.open_pool(options.workers, prepare, 'predict') as pool:
            if pool.about:
                yield Outcome(pool.about)
            yield from collection.predict_slides(slides, pool, output, options.shard)
    else:
        predicted = prepare()(source.stem, source)
        yield collection.tell(Ended(source.stem, predicted), source, output)


def _find(source: Path, options: Options) -> dict[str, Path]:
    if not source.is_dir():
        return {source.stem: source}
    return finding.find_slides(source, options.recursive)


def prepare_worker(
    workdirs: Sequence[Path], output: Path, options: Options, mpps: Mapping[str, float]
) -> Perform:
    """Makes, once a worker, what predicts a slide by its name and file."""
    predictor = load_predictor(workdirs, options)
    method = predictor.method(options.tumor_class)
    identity = {
        'engine': options.engine,
        'patches': dataclasses.asdict(method.patches),
        'tumor_class': options.tumor_class,
    }
    return functools.partial(
        _predict_one,
        mpps=mpps,
        method=method,
        output=output,
        identity=predictor.runs.identity() | identity,
        origin=predictor.runs.describe(),
        override_mpp=options.override_mpp,
        everywhere=options.everywhere,
        propose=options.propose,
        open_reader=ReadingProcess().open,
    )


def _predict_one(
    name: str, path: Path, mpps: Mapping[str, float], **options: Any
) -> prediction.Predicted:
    return prediction.predict(name, path, mpp=mpps.get(name), **options)
