"""What a slide's windows hold when each is predicted alone, by plain means."""

import numpy as np

from ocelot_jax.inference import detection


def predict_window(slide, layout, group, window, engine, settings):
    """Cells of one window alone: points in the cell grid, labels, scores."""
    p = layout.patches
    batch = {
        'cell_image': slide.read(*layout.origin(window), p.cell_size, p.cell_size, p.cell_mpp),
        'tissue_image': slide.read(
            *layout.tissue_origin(group), p.tissue_size, p.tissue_size, p.tissue_mpp
        ),
        'center': layout.center(group, window),
        'cell_mpp': np.float32(p.cell_mpp),
        'tissue_mpp': np.float32(p.tissue_mpp),
    }
    probs, tissue = engine({name: value[None] for name, value in batch.items()})
    cells = detection.detect(np.asarray(probs), **settings).of_patch(0)
    points = cells.points.astype(int) + layout.origin(window)
    return points, cells.labels, cells.scores, np.asarray(tissue)[0]


def predict_all(slide, plan, engine, settings):
    """Cells of all windows, each where its core is: sorted rows of (x, y, label), and scores."""
    layout = plan.layout
    rows = []
    for group in plan.groups:
        for window in group.windows:
            found = predict_window(slide, layout, group, window, engine, settings)
            row, column = divmod(window, len(layout.x.origins))
            (left, right), (top, bottom) = (
                axis.seams[k : k + 2] for axis, k in ((layout.x, column), (layout.y, row))
            )
            for (x, y), label, score in zip(*found[:3], strict=True):
                if left <= x < right and top <= y < bottom:
                    rows.append((x, y, label, score))
    rows = np.array(sorted(rows), float).reshape(-1, 4)
    return rows[:, :3].astype(int), rows[:, 3]


def grid_rows(result, patches):
    """A result's cells as `predict_all` gives them."""
    points = (result.cells.points + 0.5) * result.mpp / patches.cell_mpp - 0.5
    np.testing.assert_allclose(points, np.rint(points), atol=1e-6)
    rows = np.column_stack([np.rint(points), result.cells.labels]).astype(int)
    order = np.lexsort(rows.T[::-1])
    return rows[order], result.cells.scores[order]
