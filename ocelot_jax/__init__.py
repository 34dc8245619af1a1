"""Cell detection with tissue context: OCELOT (CVPR 2023) in JAX and Flax.

The commands are `python -m ocelot_jax`'s. From Python:

| name | what it is |
|---|---|
| `PairFolder(path)` | pairs in OCELOT's layout, a directory or zip |
| `open_source(config.data, split)` | the pairs of a split, of a folder or a TFDS data set |
| `read_config(name)` | a configuration: `'configs/pred_inter2.py'` |
| `create_model(config)` | a configuration's Flax module |
| `train_and_evaluate(config, workdir)` | trains a run |
| `load_runs([workdir])` | a run's best epoch, or those of several |
| `evaluate_run([workdir], split)` | scores a run and writes what reports need |
| `tune_run(workdir)` | chooses how a run's cells are detected |
| `predict_input([workdir], input, output)` | cells and tissue of pairs or slides, to files |
| `Cells` | cells of a patch or slide: points, labels, scores |
| `match_cells`, `f1_scores`, `iou_scores` | the official score |
| `score_file(file, folder, split)` | the score of cells that any program found |
| `InputError` | what the user can mend |

What is not used is not loaded.
"""

import importlib
from typing import Any

# each name by the module that has it
_MODULES = {
    'Cells': 'metrics.cells',
    'InputError': 'io.errors',
    'PairFolder': 'data.pair_folder',
    'create_model': 'models.factory',
    'evaluate_run': 'evaluation.evaluator',
    'f1_scores': 'metrics.matching',
    'iou_scores': 'metrics.matching',
    'load_runs': 'runs.loading',
    'match_cells': 'metrics.matching',
    'open_source': 'data.sources',
    'predict_input': 'prediction.predictor',
    'read_config': 'runs.config_files',
    'score_file': 'evaluation.official',
    'train_and_evaluate': 'training.loop',
    'tune_run': 'evaluation.tuning',
}
__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name == '__version__':  # it stands in setup.cfg alone
        return importlib.import_module('importlib.metadata').version(__name__)
    if name not in _MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(importlib.import_module(f'{__name__}.{_MODULES[name]}'), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
