"""What `make demo` trains: Pred-to-inter-2 on small synthetic pairs, in minutes on two cores."""

from ml_collections import ConfigDict

from configs import pred_inter2


def get_config() -> ConfigDict:
    config = pred_inter2.get_config()
    config.num_epochs = 3
    config.data.source = 'ocelot_synthetic/small'
    config.data.batch_size = 4
    config.data.max_cells = 64
    config.model.cell_dropout = 0.0
    config.model.tissue_dropout = 0.0
    config.optimizer.warmup_epochs = 0.5
    config.optimizer.average_decay = 0.98
    config.detection.max_cells = 256
    return config
