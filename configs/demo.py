"""What `make demo` trains: Pred-to-inter-2 on small synthetic pairs, in minutes on two cores.

Any other model on the same pairs by its name: `--config=configs/demo.py:cell_only`.
"""

from ml_collections import ConfigDict

from ocelot_jax import configs


def get_config(model: str = 'pred_inter2') -> ConfigDict:
    config = configs.of(model)
    config.num_epochs = 3
    config.data.source = 'ocelot_synthetic/small'
    config.data.batch_size = 4
    config.data.max_cells = 64
    config.model.cell_dropout = 0.0
    config.model.tissue_dropout = 0.0
    config.optimizer.learning_rate = 2e-3
    config.optimizer.warmup_epochs = 0.5
    config.optimizer.average_decay = 0.98
    config.detection.max_cells = 256
    return config
