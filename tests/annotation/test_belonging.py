"""Which annotations belong to which slide, by their names."""

import pytest

from ocelot_jax.annotation import belonging
from ocelot_jax.io.errors import InputError


@pytest.fixture
def lay(tmp_path):
    """Makes empty files; gives their folder."""

    def lay(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path

    return lay


def test_by_stem_whole_name_or_folder(lay):
    root = lay(
        *('slides/a.svs', 'slides/b.ome.tif', 'slides/c.svs', 'slides/x/d.svs', 'slides/y/d.svs'),
        *('made/a.geojson', 'made/a.csv', 'made/b.geojson.gz', 'made/other.json', 'made/note.md'),
        *('made/x/d.svs.geojson', 'made/y/d.geojson'),
    )
    lay('slides/e.svs', 'made/deep/e.GeoJSON')
    found = belonging.find(root / 'slides', root / 'made', recursive=True)
    held = {
        name: [path.relative_to(root / 'made').as_posix() for path in paths]
        for name, paths in found.annotations.items()
    }
    assert held == {
        'a': ['a.geojson', 'a.csv'],
        'b.ome': ['b.geojson.gz'],
        'e': ['deep/e.GeoJSON'],
        'x__d': ['x/d.svs.geojson'],
        'y__d': ['y/d.geojson'],
    }
    assert [path.name for path in found.strangers] == ['other.json']
    assert set(found.slides) - set(held) == {'c'}


@pytest.mark.parametrize(
    ('names', 'told'),
    [
        (['b.geojson'], r'has no annotations of the slides in .*\(it has b.geojson\)'),
        ([], r'\(it has no such files\); want NAME.geojson'),
        (['a.geojson', 'a.geojson.gz'], 'a.geojson.gz both belong to slide a; want one'),
        (['d.geojson'], 'may belong to .*d.svs, .*d.tif; want it called as one of these'),
    ],
)
def test_what_is_refused(lay, names, told):
    root = lay('slides/a.svs', 'slides/d.svs', 'slides/d.tif', *(f'made/{n}' for n in names))
    (root / 'made').mkdir(exist_ok=True)
    with pytest.raises(InputError, match=told):
        belonging.find(root / 'slides', root / 'made', recursive=False)


def test_quPaths_own_data_are_not_passed_over(lay):
    root = lay('slides/a.svs', 'made/a.qpdata')
    found = belonging.find(root / 'slides', root / 'made', recursive=False)
    assert [path.name for path in found.annotations['a']] == ['a.qpdata']
