"""Cell detection with tissue context: OCELOT (CVPR 2023) in JAX and Flax.

    import ocelot_jax

    predictor = ocelot_jax.load('runs/demo')  # or several runs, which are averaged
    found = predictor.predict_pair(cell_image, tissue_image, center=(0.5, 0.5))
    found.cells.points, found.cells.labels, found.cells.scores, found.tissue
    slide = predictor.predict_slide('slide.svs')
    slide.cells, slide.tissue, slide.warnings

    pairs = ocelot_jax.open_pairs('pairs.zip', 'train')
    pairs[0]['cell_image'], pairs[0]['cells']
    true = [ocelot_jax.Cells.annotated(points, labels)]
    ocelot_jax.score_cells([found.cells], true, mpp=0.2, class_names=('BC', 'TC'))['mF1']

| name | what it is |
|---|---|
| `load(workdir)` | a run's best epoch, or those of several, ready to predict: a `Predictor` |
| `Predictor` | its `predict_pair` gives a `FoundPair`, its `predict_slide` a `SlideResult` |
| `open_pairs(source, split)` | the pairs of a directory, a zip or a TFDS data set |
| `Cells` | cells of a patch or slide: points, labels, scores |
| `score_cells(found, true, ...)` | the official score of cells against cells |
| `PairFolder(path)` | a directory or zip in OCELOT's layout: its splits, its classes, its checks |
| `read_config(name)` | a configuration: `'configs/pred_inter2.py'` |
| `create_model(config)` | a configuration's Flax module |
| `train_and_evaluate(config, workdir)` | trains a run |
| `evaluate_run([workdir], split)` | scores a run and writes what reports need |
| `tune_run(workdir)` | chooses how a run's cells are detected |
| `predict_input([workdir], input, output)` | cells and tissue of pairs or slides, to files |
| `score_file(file, folder, split)` | the score of a file in the challenge's format |
| `InputError` | what the user can mend |

The commands are `python -m ocelot_jax`'s and call the same functions. What is not used is not
loaded.
"""

import importlib.metadata
from typing import Any

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == '__version__':  # it stands in setup.cfg alone
        return importlib.metadata.version(__name__)
    return _load(name)
