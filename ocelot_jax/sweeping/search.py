"""What a sweep trains: every combination of values, then the best one with further seeds."""

import dataclasses
import itertools
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
    """

    configs: tuple[str, ...]
    axes: Mapping[str, Sequence[Any]]
    repeats: int = 1
    tune_detection: bool = True


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 0


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
    for field, (fits, wanted) in _FIELDS.items():
        value = values.get(field, getattr(Sweep, field, None))
        if not fits(value):
            raise InputError(f'{name}: {field} of get_sweep is {value!r}; want {wanted}')
    return Sweep(**values)


def search_points(
    config: str, axes: Mapping[str, Sequence[Any]], overrides: Mapping[str, Any]
) -> Iterator[Point]:
    """The runs of a configuration whose best will be repeated.

    Args:
        config: its file.
        axes: see `Sweep`.
        overrides: values of fields for all runs.

    Raises:
        InputError: the configuration has no such field, or takes no such value.
    """
    for values in itertools.product(*axes.values()):
        settings = dict(zip(axes, values, strict=True))
        point = config_files.read_config(config)
        try:
            point.update_from_flattened_dict({**overrides, **settings})
        except (AttributeError, KeyError, TypeError) as error:
            raise InputError(f'{config}: {error}') from error
        parts = [
            configuration.config_name(config),
            *(f'{name}={value}' for name, value in settings.items()),
        ]
        yield Point(f'{"/".join(parts)}/seed{point.seed}', point)


def repeat_points(point: Point, repeats: int) -> Iterator[Point]:
    """A run and others that differ from it by the seed alone."""
    for seed in range(point.config.seed, point.config.seed + repeats):
        config = point.config.copy_and_resolve_references()
        config.seed = seed
        yield Point(str(Path(point.name).parent / f'seed{seed}'), config)
