"""Slides, one or a directory of them."""

import concurrent.futures
import dataclasses
import functools
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ocelot_jax.cluster import pool as pool_lib
from ocelot_jax.cluster.pool import Ended, Perform
from ocelot_jax.prediction import given_mpp
from ocelot_jax.prediction.options import Options, load_predictor
from ocelot_jax.slides import collection, finding, foreground, prediction
from ocelot_jax.slides.collection import Outcome
from ocelot_jax.slides.prediction import Predicted
from ocelot_jax.slides.readers.isolated import ReadingProcess
from ocelot_jax.slides.slide import OpenReader, Slide


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
            output,
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
        predicted = _predict_single(workdirs, source, output, options, mpps.get(source.stem))
        yield collection.tell(Ended(source.stem, predicted), source, output)


def _find(source: Path, options: Options) -> dict[str, Path]:
    if not source.is_dir():
        return {source.stem: source}
    return finding.find_slides(source, options.recursive)


def _predict_single(
    workdirs: Sequence[Path], path: Path, output: Path, options: Options, mpp: float | None
) -> Predicted:
    """Predicts a slide, whose overview is read while the runs are loaded: both take seconds."""
    reading, thread = ReadingProcess(), concurrent.futures.ThreadPoolExecutor(1)
    with Slide(path, mpp, None, options.override_mpp, reading.open) as slide:
        overview = thread.submit(foreground.overview, slide)
        # and what will write the results, while the weights are read
        thread.submit(importlib.import_module, 'ocelot_jax.slides.outputs')
        try:
            predict = _load(workdirs, output, options)
            return predict(slide, read_overview=lambda slide: overview.result())
        finally:
            # an overview that was not needed may take minutes, without lower resolutions
            reading.kill()
            thread.shutdown(cancel_futures=True)


def prepare_worker(
    workdirs: Sequence[Path], output: Path, options: Options, mpps: Mapping[str, float]
) -> Perform:
    """Makes, once a worker, what predicts a slide by its name and file."""
    return functools.partial(
        _predict_one,
        mpps=mpps,
        override_mpp=options.override_mpp,
        open_reader=ReadingProcess().open,
        predict=_load(workdirs, output, options),
    )


def _predict_one(
    name: str,
    path: Path,
    mpps: Mapping[str, float],
    override_mpp: bool,
    open_reader: OpenReader,
    predict: Callable[[Slide], Predicted],
) -> Predicted:
    with Slide(path, mpps.get(name), name, override_mpp, open_reader) as slide:
        return predict(slide)


def _load(workdirs: Sequence[Path], output: Path, options: Options) -> Callable[..., Predicted]:
    """Loads runs; gives `prediction.predict` of an open slide by them."""
    predictor = load_predictor(workdirs, options)
    method = predictor.method(options.tumor_class)
    identity = {
        'engine': options.engine,
        'patches': dataclasses.asdict(method.patches),
        'tumor_class': options.tumor_class,
    }
    return functools.partial(
        prediction.predict,
        method=method,
        output=output,
        identity=predictor.runs.identity() | identity,
        origin=predictor.origin(),
        everywhere=options.everywhere,
        propose=options.propose,
    )
