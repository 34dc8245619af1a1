"""A run's directory: which configuration it belongs to."""

import json
from pathlib import Path
from typing import Any

import ml_collections

from ocelot_jax import atomic

_FILE = 'config.json'


def claim(workdir: Path, config: ml_collections.ConfigDict) -> None:
    """Makes the directory of a run, or checks that it belongs to the same run.

    Args:
        workdir: directory; its parents are made too.
        config: the run's configuration, kept in `config.json`.

    Raises:
        ValueError: the directory holds a run of another configuration.
    """
    path = workdir / _FILE
    # through JSON, which knows no tuples
    wanted = json.loads(config.to_json())
    if not path.exists():
        workdir.mkdir(parents=True, exist_ok=True)
        with atomic.replacing(path) as temporary:
            temporary.write_text(json.dumps(wanted, indent=2) + '\n')
        return
    held = _read(path)
    differences = _differences(held, wanted)
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
    path = workdir / _FILE
    if not path.exists():
        raise FileNotFoundError(
            f'{path}: not there, so {workdir} is no run; --workdir wants the directory that '
            'ocelot_jax.main trained in'
        )
    return ml_collections.ConfigDict(_read(path))


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f'{path}: is no JSON ({error}); want what the trainer wrote') from error


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
