"""A run's directory: which configuration it belongs to."""

import json
from pathlib import Path
from typing import Any

import ml_collections

from ocelot_jax import atomic

_FILE = 'config.json'


def write_config(workdir: Path, config: ml_collections.ConfigDict) -> None:
    """Writes the configuration of a new run to `config.json`."""
    with atomic.replacing(workdir / _FILE) as temporary:
        temporary.write_text(json.dumps(_plain(config), indent=2) + '\n')


def check_config(workdir: Path, config: ml_collections.ConfigDict) -> None:
    """Checks that a run is of a configuration.

    Raises:
        ValueError: it is of another one.
    """
    path = workdir / _FILE
    differences = _differences(_read(path), _plain(config))
    if differences:
        raise ValueError(
            f'{path}: holds a run of another configuration: {"; ".join(differences)}; '
            'choose another --workdir or the same values'
        )


def load_config(workdir: Path) -> ml_collections.ConfigDict:
    """Reads the configuration of a run.

    Raises:
        FileNotFoundError: there is no run in the directory.
    """
    return ml_collections.ConfigDict(_read(workdir / _FILE))


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise FileNotFoundError(
            f'{path}: not there, so {path.parent} is no run; --workdir wants the directory that '
            'ocelot_jax.main trained in'
        )
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f'{path}: is no JSON ({error}); want what the trainer wrote') from error


def _plain(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """The configuration as JSON holds it, without tuples."""
    return json.loads(config.to_json())


def _differences(held: Any, wanted: Any, name: str = 'config') -> list[str]:
    """Each field that differs, with both values."""
    if isinstance(held, dict) and isinstance(wanted, dict):
        keys = sorted(held.keys() | wanted.keys())
        return [
            difference
            for key in keys
            for difference in _differences(held.get(key), wanted.get(key), f'{name}.{key}')
        ]
    return [] if held == wanted else [f'{name} is {held!r} there and {wanted!r} here']
