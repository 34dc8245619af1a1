"""Cells as AnnData, opened by AnnData itself, beside the table."""

import dataclasses

import anndata
import numpy as np
import pandas as pd
import pytest

from ocelot_jax.slides import h5ad, tables
from ocelot_jax.viz import palette


def write(result, folder):
    h5ad.write(result, folder / 'cells.h5ad')
    tables.write(result, folder / 'cells.csv', folder / 'cells.parquet')
    return anndata.read_h5ad(folder / 'cells.h5ad'), pd.read_csv(folder / 'cells.csv')


@pytest.mark.parametrize(('batch', 'count'), [(7, 500), (1 << 16, 500), (1 << 16, 0)])
def test_anndata_reads_what_the_table_says(base, tmp_path, monkeypatch, batch, count):
    monkeypatch.setattr(h5ad, '_BATCH', batch)
    result = dataclasses.replace(base, cells=base.cells[:count], runs=('a', 'größe'))
    data, csv = write(result, tmp_path)
    assert data.shape == (count, 0)
    assert data.obs_names.tolist() == csv['id'].tolist()
    assert data.obs['class'].cat.categories.tolist() == ['BC', 'TC']
    assert data.obs['class'].tolist() == csv['class'].tolist()
    np.testing.assert_array_equal(data.obs['score'], base.cells.scores[:count])
    np.testing.assert_array_equal(data.obsm['spatial'], csv[['x_um', 'y_um']])
    assert data.uns['slide'] == base.name
    assert data.uns['um_per_px'] == base.mpp
    assert data.uns['runs'].tolist() == ['a', 'größe']
    assert data.uns['class_colors'].tolist() == [palette.cell_color(label) for label in (1, 2)]
    assert 'bounds_px' not in data.uns


def test_anndata_writes_it_anew_without_loss(base, tmp_path):
    """What it reads is whole: as good as its own."""
    data, _ = write(dataclasses.replace(base, bounds=(101, 63, 800, 600)), tmp_path)
    data.write_h5ad(tmp_path / 'again.h5ad')
    again = anndata.read_h5ad(tmp_path / 'again.h5ad')
    pd.testing.assert_frame_equal(again.obs, data.obs)
    assert again.uns['bounds_px'].tolist() == [101, 63, 800, 600]
    assert again.uns['runs'].tolist() == []


def test_the_same_cells_are_the_same_bytes_and_what_fails_leaves_none(base, tmp_path, monkeypatch):
    path = tmp_path / 'cells.h5ad'
    h5ad.write(base, path)
    before = path.read_bytes()
    h5ad.write(base, path)
    assert path.read_bytes() == before
    monkeypatch.setattr(h5ad, '_about', lambda result: {'odd': object()})
    with pytest.raises(TypeError):
        h5ad.write(base, path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ['cells.h5ad']
