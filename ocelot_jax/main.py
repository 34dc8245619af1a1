"""Trains a model: `python -m ocelot_jax.main --config=configs/pred_inter2.py`.

Any value of the configuration can be set, as in `--config.optimizer.learning_rate=5e-4`. The
same command goes on where an earlier one stopped. `--describe` prints what the network is made of
instead.
"""

from pathlib import Path

from absl import flags
from ml_collections import config_flags

from ocelot_jax import cli

_CONFIG = config_flags.DEFINE_config_file('config', None, 'What to train: a file of configs/.')
_WORKDIR = flags.DEFINE_string('workdir', None, 'Directory of the run; runs/<config> if not set.')
_DISTRIBUTED = flags.DEFINE_bool('distributed', False, 'Whether other hosts run this too.')
_DESCRIBE = flags.DEFINE_bool('describe', False, "Whether to print the network's card and exit.")
flags.mark_flag_as_required('config')


def main() -> None:
    """Trains, then scores each run's best epoch."""
    # here, so that what is mistyped is answered before seconds of loading
    import jax

    from ocelot_jax import describe, evaluate, runs, train

    name = config_flags.get_config_filename(flags.FLAGS['config'])
    # what follows the colon in configs/crc.py:cell_only is its get_config's argument
    file = name.partition(':')[0]
    if not Path(file).exists():
        raise FileNotFoundError(f'--config: {file} is not there; want a file of configs/')
    config = _CONFIG.value
    if _DESCRIBE.value:
        print(describe.describe(config))
        return
    workdir = Path(_WORKDIR.value or f'runs/{runs.config_name(name)}')
    if _DISTRIBUTED.value:
        jax.distributed.initialize()
    cli.keep_compilations(workdir.parent)
    for run in train.train_and_evaluate(config, workdir):
        evaluate.evaluate_run([run])


if __name__ == '__main__':
    cli.use_huge_pages()
    cli.run(main)
