"""Classes as annotations name them, and those that pairs have for them."""

import dataclasses
from collections.abc import Mapping, Sequence

from ocelot_jax.io.errors import InputError

# tables of the statistics, and of what was cut, have columns of these names
_RESERVED = ('total', 'unknown', 'UNK')
LEFT_OUT = 0


@dataclasses.dataclass(frozen=True)
class Classes:
    """Classes of pairs, and what annotations call them.

    Attributes:
        names: of the labels 1, 2, ...
        labels: from each name in annotations to its label; 0 where it is left out on purpose.
    """

    names: tuple[str, ...]
    labels: Mapping[str, int]


def parse(flag: str, entries: Sequence[str], first: Sequence[str] = ()) -> Classes:
    """Reads classes from entries 'THEIRS=OURS'.

    Labels go by the order in which our names first appear. 'THEIRS' alone keeps its name,
    'THEIRS=' is left out on purpose, '=OURS' is of objects without a class.

    Args:
        flag: the entries' flag, for errors.
        entries: as given.
        first: names of ours that come first, whether entries have them or not.

    Raises:
        InputError: a class is mapped twice, or one of ours has a name that means something else.
    """
    names, labels = list(first), {}
    for entry in entries:
        theirs, equals, ours = entry.rpartition('=') if '=' in entry else (entry, '', entry)
        theirs, ours = theirs.strip(), ours.strip()
        if not equals and not ours:
            raise InputError(f'--{flag}: has an empty entry; want THEIRS=OURS between commas')
        if theirs in labels:
            raise InputError(f'--{flag}: maps {theirs or "no class"!r} twice; want it once')
        if ours in _RESERVED:
            raise InputError(f'--{flag}: {entry!r}; want another name than {ours}, which is taken')
        if ours and ours not in names:
            names.append(ours)
        labels[theirs] = names.index(ours) + 1 if ours else LEFT_OUT
    return Classes(tuple(names), labels)
