"""A run's directory: which configuration it belongs to, and which patches it was trained on."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_collections

from ocelot_jax.data.patches import Patches
from ocelot_jax.io import atomic
from ocelot_jax.io.errors import InputError, MissingFileError

_FILE = 'config.json'
_PATCHES = 'patches.json'
DETECTION = 'detection.json'


def config_name(config: str) -> str:
    """What the runs of a configuration are called: by its file and what follows a colon."""
    file, _, argument = config.partition(':')
    return '_'.join(filter(None, (Path(file).stem, argument)))


def write_config(workdir: Path, config: ml_collections.ConfigDict) -> None:
    """Writes the configuration of a new run to `config.json`."""
    with atomic.replacing(workdir / _FILE) as temporary:
        temporary.write_text(json.dumps(_plain(config), indent=2) + '\n')


def check_config(workdir: Path, config: ml_collections.ConfigDict) -> None:
    """Checks that a run is of a configuration.

    Raises:
        InputError: it is of another one.
    """
    path = workdir / _FILE
    found = differences(_read(path), _plain(config))
    if found:
        raise InputError(
            f'{path}: holds a run of another configuration: {"; ".join(found)}; '
            'choose another --workdir or the same values'
        )


def load_config(workdir: Path) -> ml_collections.ConfigDict:
    """Reads the configuration of a run, as it was trained.

    Raises:
        MissingFileError: there is no run in the directory.
    """
    return ml_collections.ConfigDict(_read(workdir / _FILE))


def write_detection(workdir: Path, settings: Mapping[str, float]) -> None:
    """Keeps the values of `config.detection` that were tuned on validation (`ocelot_jax.tune`)."""
    with atomic.replacing(workdir / DETECTION) as temporary:
        temporary.write_text(json.dumps(settings, indent=2) + '\n')


def load_detection(workdir: Path) -> dict[str, float]:
    """Reads the values of `config.detection` that were tuned; none where nobody tuned."""
    path = workdir / DETECTION
    return _read(path) if path.exists() else {}


def write_patches(workdir: Path, record: Mapping[str, Any]) -> None:
    """Writes the sizes of a new run's patches, those of one of its pairs, to `patches.json`."""
    with atomic.replacing(workdir / _PATCHES) as temporary:
        temporary.write_text(json.dumps(dataclasses.asdict(Patches.of(record)), indent=2) + '\n')


def load_patches(workdir: Path) -> Patches | None:
    """Reads the sizes of a run's patches; None of a run from before they were written."""
    path = workdir / _PATCHES
    return Patches(**_read(path)) if path.exists() else None


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise MissingFileError(
            f'{path}: not there, so {path.parent} is no run; --workdir wants the directory that '
            'ocelot_jax.main trained in'
        )
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise InputError(f'{path}: is no JSON ({error}); want what the trainer wrote') from error


def _plain(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """The configuration as JSON holds it, without tuples."""
    return json.loads(config.to_json())


def differences(held: Any, wanted: Any, name: str = 'config') -> list[str]:
    """Each field that differs, with both values."""
    if isinstance(held, dict) and isinstance(wanted, dict):
        keys = sorted(held.keys() | wanted.keys())
        return [
            difference
            for key in keys
            for difference in differences(held.get(key), wanted.get(key), f'{name}.{key}')
        ]
    return [] if held == wanted else [f'{name} is {held!r} there and {wanted!r} here']
