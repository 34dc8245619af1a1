"""The page of all that `ocelot_jax` exports, by Sphinx's autodoc."""

import inspect
import typing
from collections.abc import Iterator

import flax.linen as nn

import ocelot_jax


def make() -> str:
    """The page's Markdown."""
    # in the order in which the package tells of them
    names = sorted(ocelot_jax.__all__, key=lambda name: ocelot_jax.__doc__.find(f'`{name}'))
    exported = {name: getattr(ocelot_jax, name) for name in names}
    results = find_results(exported.values())
    others = {f'{kind.__module__}.{kind.__name__}': kind for kind in results}
    return (
        f'# Python\n\n{ocelot_jax.__doc__.strip()}\n\n'
        + _render({f'ocelot_jax.{name}': value for name, value in exported.items()})
        + '\n## What these take and give\n\n'
        + _render(others)
    )


def find_results(exported: typing.Iterable[object]) -> list[type]:
    """Classes of this package that exported functions and methods name, but for exported ones.

    Networks are left out, as they are made of a configuration.
    """
    exported = list(exported)
    found = {}
    for value in exported:
        if isinstance(value, type):
            functions = [f for f in vars(value).values() if inspect.isfunction(f)]
        else:
            functions = [value]
        for function in functions:
            for hint in typing.get_type_hints(function).values():
                found |= dict.fromkeys(_classes(hint))
    return [k for k in found if k not in exported and not issubclass(k, nn.Module)]


def _classes(hint: object) -> Iterator[type]:
    if isinstance(hint, type) and hint.__module__.startswith('ocelot_jax.'):
        yield hint
    for part in typing.get_args(hint):
        yield from _classes(part)


def _render(objects: dict[str, object]) -> str:
    lines = []
    for path, value in objects.items():
        kind, members = 'function', ''
        if isinstance(value, type):
            kind = 'exception' if issubclass(value, Exception) else 'class'
            members = '   :members:\n'
        lines.append(f'.. auto{kind}:: {path}\n{members}\n')
    return f'```{{eval-rst}}\n{"".join(lines)}```\n'
