"""One slide into a folder of its own.

The results take their place, `<output>/<name>`, by one rename when they are complete; until then
all is in `<output>/.<name>.partial`. Should two processes be at one slide, each writes files of
its own or such as both write alike; the first to end takes the place, the other finds it taken.
"""

import dataclasses
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from ocelot_jax.io import digests, disk
from ocelot_jax.io.errors import InputError
from ocelot_jax.slides import foreground, pipeline
from ocelot_jax.slides.result import SlideResult
from ocelot_jax.slides.slide import Slide

# What writes the results is loaded where it is used, a second later than the rest: what is wrong
# with the input is told before.

RECORD = 'prediction.json'

# what others rely on in a record
_KINDS = {'depends_on': dict, 'runs': list, 'warnings': list, 'summary': str}
_OTHERWISE = 'want another --output, or no such folder'


@dataclasses.dataclass(frozen=True)
class Predicted:
    """A slide whose results are in their place.

    Attributes:
        numbers: its `summary.json`.
        record: its `prediction.json`: runs, warnings and what else the numbers come from.
        windows: how many were predicted; None where it was done already.
    """

    numbers: dict[str, Any]
    record: dict[str, Any]
    windows: int | None


def predict(
    slide: Slide,
    method: pipeline.Method,
    output: Path,
    identity: dict[str, Any],
    origin: dict[str, Any],
    everywhere: bool = False,
    propose: int | None = None,
    read_overview: foreground.ReadOverview = foreground.overview,
) -> Predicted:
    """Predicts a slide, unless that is done already.

    Proposals are no part of the results: they are written, or written anew, in either case.

    Args:
        slide: the slide, open; its name is that of its folder in `output`.
        method: how cells are found.
        output: the folder to write to.
        identity: what the results depend on beside the slide; other results are not taken for
            done.
        origin: what else is to be told of them, such as the runs' names.
        everywhere: see `pipeline.make_plan`.
        propose: how many regions to propose for correction; None for no file of them.
        read_overview: see `pipeline.make_plan`; not called where nothing is to be done.

    Raises:
        OutputError: the output cannot be written, or the disk is full.
        InputError: the slide is damaged, or other results are in its place.
    """
    target, work = output / slide.name, output / f'.{slide.name}.partial'
    with disk.full_as_error(output):
        identity = identity | {'slide': slide.identity(), 'everywhere': everywhere}
        record = origin | {'file': slide.path.name, 'depends_on': identity}
        windows, done = None, target.exists()
        if not done or propose:
            plan = pipeline.make_plan(slide, method, everywhere, read_overview)
        if not done:
            try:
                result = pipeline.predict_slide(slide, method, plan, work, identity)
                result = dataclasses.replace(result, runs=tuple(origin['runs']))
                _write(result, record | {'warnings': result.warnings}, work, target)
                windows = plan.num_windows
            except OSError:
                # another process may have ended first, and taken our folder away
                if not target.exists():
                    raise
        numbers, record = read_results(target)
        _check(target, record['depends_on'], identity)
        if propose:
            from ocelot_jax.slides import proposing

            proposing.write(slide, method, plan, numbers['tumor_class'], target, propose)
    shutil.rmtree(work, ignore_errors=True)
    return Predicted(numbers, record, windows)


def _write(result: SlideResult, record: dict[str, Any], work: Path, target: Path) -> None:
    """Writes everything to a folder of this process's own, which then becomes `target`."""
    from ocelot_jax.slides import outputs

    written = Path(tempfile.mkdtemp(prefix='written-', dir=work))
    try:
        written.chmod(work.stat().st_mode)  # temporary folders are their owner's alone
        outputs.write(result, written)
        digest = digests.of_file(written / outputs.SUMMARY)
        content = json.dumps(record | {'summary': digest}, indent=2)
        (written / RECORD).write_text(content + '\n')
        written.rename(target)
    except BaseException:
        shutil.rmtree(written, ignore_errors=True)
        raise


def read_results(target: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads what a slide's folder says of it: its `summary.json` and its `prediction.json`.

    Raises:
        InputError: the folder holds no results, or they were changed.
    """
    from ocelot_jax.slides import outputs

    path = target / RECORD
    try:
        record = json.loads(path.read_text('utf-8'))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f'{target}: holds no {RECORD}; {_OTHERWISE}') from None
    except ValueError as error:  # no JSON, or no text
        raise InputError(f'{path}: is damaged ({error}); {_OTHERWISE}') from None
    if not isinstance(record, dict) or any(
        not isinstance(record.get(key), kind) for key, kind in _KINDS.items()
    ):
        raise InputError(f'{path}: is no record of a slide; {_OTHERWISE}')
    path = target / outputs.SUMMARY
    if not path.exists() or digests.of_file(path) != record['summary']:
        raise InputError(f'{path}: was changed after it was written; {_OTHERWISE}')
    return json.loads(path.read_text('utf-8')), record


def _check(target: Path, held: dict[str, Any], identity: dict[str, Any]) -> None:
    wanted = json.loads(json.dumps(identity))
    differ = sorted(name for name in wanted if held.get(name) != wanted[name])
    if differ:
        raise InputError(
            f'{target}: is there and holds other results ({", ".join(differ)} differ); '
            f'{_OTHERWISE}'
        )
