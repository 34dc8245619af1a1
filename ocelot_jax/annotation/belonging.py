"""Which files of annotations belong to which slides."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

from ocelot_jax.annotation import reading
from ocelot_jax.io.errors import InputError, MissingFileError
from ocelot_jax.slides import finding

# QuPath's own data, which reading refuses with the reason, are not passed over in silence.
_ENDINGS = (*reading.SUFFIXES, '.qpdata')
# Only these have regions; a slide may have one of them, and a table of its cells.
_OBJECTS = ('.geojson', '.json', '.geojson.gz', '.json.gz')


@dataclasses.dataclass(frozen=True)
class Found:
    """Slides and their annotations.

    Attributes:
        slides: the file of each slide, by its name.
        annotations: the files of those that have some, by the same names.
        strangers: files of annotations that belong to no slide.
    """

    slides: Mapping[str, Path]
    annotations: Mapping[str, tuple[Path, ...]]
    strangers: tuple[Path, ...]


def find(slides: Path, annotations: Path, recursive: bool) -> Found:
    """Finds slides, and the files that are called as they are.

    `a.geojson`, `a.geojson.gz`, `a.csv` belong to `a.svs`, and so does `a.svs.geojson`. One file
    for one slide may be called as it likes. In folders within, a file belongs to the slide in
    the folder of the same name, or else to the only slide of its name.

    Args:
        slides: a slide, or a directory of slides.
        annotations: a file, or a directory of files.
        recursive: whether to look in the folders within, too.

    Raises:
        MissingFileError: something is not there.
        InputError: there is no slide, or none has annotations; a file may belong to several
            slides, or a slide has several files of a kind.
    """
    for flag, path in (('slides', slides), ('annotations', annotations)):
        if not path.exists():
            raise MissingFileError(f'{path}: no such file or directory; see --{flag}')
    found = finding.find_slides(slides, recursive) if slides.is_dir() else {slides.stem: slides}
    if annotations.is_file() and not slides.is_dir():
        return Found(found, {slides.stem: (annotations,)}, ())
    folder = annotations if annotations.is_dir() else annotations.parent
    owned: dict[str, list[Path]] = {}
    strangers = []
    for path in _list(annotations, recursive):
        owner = _owner(path, path.relative_to(folder), found)
        if owner is None:
            strangers.append(path)
        else:
            owned.setdefault(owner, []).append(path)
    if not owned:
        few = ', '.join(path.name for path in strangers[:3])
        raise InputError(
            f'{annotations}: has no annotations of the slides in {slides} '
            f'({f"it has {few}" if few else "it has no such files"}); want NAME.geojson, '
            'NAME.geojson.gz or NAME.csv for NAME.svs'
        )
    chosen = {name: _choose(name, owned[name]) for name in found if name in owned}
    return Found(found, chosen, tuple(strangers))


def base(name: str) -> str | None:
    """The name of a file of annotations without its ending; None of any other file."""
    for ending in _ENDINGS:
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return None


def _list(source: Path, recursive: bool) -> list[Path]:
    if source.is_file():
        return [source]
    paths = []
    for place, folders, names in os.walk(source):
        folders[:] = sorted(name for name in folders if recursive and name[0] != '.')
        paths += [Path(place, n) for n in sorted(names) if n[0] != '.' and base(n) is not None]
    return paths


def _owner(path: Path, relative: Path, slides: Mapping[str, Path]) -> str | None:
    """The slide that a file belongs to; None where there is none."""
    called = base(path.name)
    folder = '__'.join(relative.parent.parts)
    owners = [name for name, slide in slides.items() if called in (name, *_names(slide))]
    beside = [n for n in owners if folder and n.startswith(f'{folder}__')]
    owners = beside or owners
    if len(owners) > 1:
        several = ', '.join(str(slides[name]) for name in owners[:3])
        raise InputError(
            f'{path}: may belong to {several}; want it called as one of these, with its ending, '
            f'as in {slides[owners[0]].name}.geojson'
        )
    return owners[0] if owners else None


def _names(slide: Path) -> set[str]:
    # a.ome.tif is a, too
    return {slide.name, slide.stem, slide.stem.removesuffix('.ome')}


def _choose(name: str, paths: list[Path]) -> tuple[Path, ...]:
    """The files of a slide: at most one of objects and one table, unless nothing can be read."""
    read = [path for path in paths if path.name.lower().endswith(reading.SUFFIXES)]
    objects = [path for path in read if path.name.lower().endswith(_OBJECTS)]
    tables = [path for path in read if path not in objects]
    for kind in (objects, tables):
        if len(kind) > 1:
            raise InputError(
                f'{kind[0]}: and {kind[1].name} both belong to slide {name}; want one of them'
            )
    return (*objects, *tables) if read else tuple(paths[:1])
