"""What a sweep trains: every combination of values, then the best one with further seeds.

Or every combination of folds and seeds, with and without each of some changes (variants).
"""

import collections
import dataclasses
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from ocelot_jax.io.errors import InputError
from ocelot_jax.runs import config_files, configuration


@dataclasses.dataclass(frozen=True)
class Sweep:
    """What to train.

    Attributes:
        configs: files of configurations, `configs/crc.py:unet` with an argument.
        axes: the values that a field takes, by its name, such as 'optimizer.learning_rate';
            the product of all is searched.
        repeats: how many seeds the combination that validates best is trained with.
        tune_detection: whether to tune the detection of every run, see `ocelot_jax.tune`.
        overrides: values of fields for all runs.
        variants: by its name what a run changes, values by field; each is run at every point of
            the axes, beside a run without any.
    """

    configs: tuple[str, ...]
    axes: Mapping[str, Sequence[Any]]
    repeats: int = 1
    tune_detection: bool = True
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    variants: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)


# axes whose runs belong together: what is best among them is chance
_REPEATING = ('seed', 'data.fold')
# names of directories of their own: a run's
_RUN = re.compile(r'seed\d+')


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 0


def _are_values(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(name, str) for name in value)


def _are_variants(value: Any) -> bool:
    if not _are_values(value):
        return False
    return all(_are_values(changes) and changes for changes in value.values())


def _are_axes(value: Any) -> bool:
    if not isinstance(value, Mapping):
        return False
    return all(isinstance(name, str) and _is_list(some) for name, some in value.items())


# what may be in each field of a sweep, and how to say so
_FIELDS = {
    'configs': (
        lambda value: _is_list(value) and all(isinstance(name, str) for name in value),
        "a tuple of files, as ('configs/crc.py:unet',)",
    ),
    'axes': (_are_axes, "a dict of tuples, as {'seed': (0, 1)}"),
    'repeats': (lambda value: type(value) is int and value > 0, 'a whole number from 1 on'),
    'tune_detection': (lambda value: isinstance(value, bool), 'True or False'),
    'overrides': (_are_values, "a dict of values, as {'num_epochs': 5}"),
    'variants': (_are_variants, "a dict of dicts, as {'No blur': {'augment.blur_sigma': 0.0}}"),
}


@dataclasses.dataclass(frozen=True)
class Point:
    """One run of a sweep.

    Attributes:
        name: the run's directory below the sweep's.
        config: as `configs/default.py`.
    """

    name: str
    config: ConfigDict


def read_sweep(name: str) -> Sweep:
    """Reads a sweep's file, with its argument behind a colon.

    Raises:
        MissingFileError: there is no such file, see `config_files.locate`.
        InputError: it defines no sweep.
    """
    values = config_files.call(name, 'get_sweep')
    fields = [field.name for field in dataclasses.fields(Sweep)]
    if not isinstance(values, Mapping):
        found = type(values).__name__
        raise InputError(f'{name}: get_sweep gives a {found}; want a dict of {", ".join(fields)}')
    unknown = sorted(str(key) for key in values if key not in fields)
    if unknown:
        raise InputError(f'{name}: get_sweep gives {unknown[0]}; want {", ".join(fields)}')
    for field, value in {'configs': None, 'axes': None, **values}.items():
        fits, wanted = _FIELDS[field]
        if not fits(value):
            raise InputError(f'{name}: {field} of get_sweep is {value!r}; want {wanted}')
    sweep = Sweep(**values)
    _check_together(name, sweep)
    return sweep


def _check_together(name: str, sweep: Sweep) -> None:
    """Raises an InputError where two fields of a sweep do not go together."""
    if sweep.repeats > 1 and (sweep.variants or set(_REPEATING) & set(sweep.axes)):
        raise InputError(
            f'{name}: repeats of get_sweep is {sweep.repeats} beside variants, or an axis '
            f'{" or ".join(_REPEATING)}; want 1, for no best run is chosen among these'
        )
    folders = collections.Counter(map(_folder, sweep.variants))
    for variant, changes in sweep.variants.items():
        folder = _folder(variant)
        if not folder or _RUN.fullmatch(folder) or folders[folder] > 1:
            raise InputError(
                f'{name}: variants of get_sweep holds {variant!r}, whose directory would be '
                f'{folder!r}; want names with letters, each of another directory'
            )
        for field in sorted(set(changes) & set(sweep.axes)):
            raise InputError(
                f'{name}: variants of get_sweep changes {field} in {variant!r}, which is an axis, '
                'too; want one of both'
            )


def search_points(config: str, sweep: Sweep, overrides: Mapping[str, Any]) -> Iterator[Point]:
    """The runs of a configuration that a sweep begins with.

    All variants of a point of the axes come before those of the next, so that they can be compared
    from early on. One that changes nothing of the configuration is not among them.

    Args:
        config: its file.
        sweep: its axes and variants, and its overrides.
        overrides: values of fields for all runs, instead of the sweep's.

    Raises:
        InputError: the configuration has no such field, or takes no such value; or a field is both
            an axis and overridden.
    """
    for field in sorted({*sweep.overrides, *overrides} & set(sweep.axes)):
        raise InputError(
            f'{field}: is an axis of the sweep, of {sweep.axes[field]!r}, and overridden; want '
            'one of both'
        )
    for values in itertools.product(*sweep.axes.values()):
        settings = dict(zip(sweep.axes, values, strict=True))
        plain = _fill_in(config, {**sweep.overrides, **overrides, **settings})
        for variant, changes in {'': {}, **sweep.variants}.items():
            point = _fill_in(config, changes, plain)
            if variant:
                if point == plain:
                    continue
                point.variant = variant
            parts = [configuration.config_name(config), _folder(variant), *_places(settings)]
            yield Point('/'.join(filter(None, [*parts, f'seed{point.seed}'])), point)


def _fill_in(
    config: str, values: Mapping[str, Any], start: ConfigDict | None = None
) -> ConfigDict:
    """A configuration, or a copy of one made from it, with other values."""
    filled = start.copy_and_resolve_references() if start else config_files.read_config(config)
    try:
        filled.update_from_flattened_dict(values)
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(f'{config}: {error}') from error
    return filled


def _folder(variant: str) -> str:
    """Names a variant's directory: its letters and digits, in lower case."""
    return '-'.join(re.findall(r'[a-z0-9]+(?:\.[a-z0-9]+)*', variant.lower()))


def _places(settings: Mapping[str, Any]) -> Iterator[str]:
    """Names the directories of a point of the axes; that of the seed is the last of all."""
    for name, value in settings.items():
        if name == 'data.fold':
            yield f'fold{value}'
        elif name != 'seed':
            yield f'{name}={value}'


def repeat_points(point: Point, repeats: int) -> Iterator[Point]:
    """A run and others that differ from it by the seed alone."""
    for seed in range(point.config.seed, point.config.seed + repeats):
        config = point.config.copy_and_resolve_references()
        config.seed = seed
        yield Point(str(Path(point.name).parent / f'seed{seed}'), config)
