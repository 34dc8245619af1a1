"""Trains a model: `python -m ocelot_jax.main --config=configs/pred_inter2.py`.

Any value of the configuration can be set, as in `--config.optimizer.learning_rate=5e-4`. The
same command goes on where an earlier one stopped. `--describe` prints what the network is made of
instead.
"""

from pathlib import Path

from absl import flags
from ml_collections import config_flags

from ocelot_jax.cli import app, hosts, process


def define_flags() -> None:
    """Defines the command's flags."""
    config_flags.DEFINE_config_file('config', None, 'What to train: a file of configs/.')
    flags.DEFINE_string('workdir', None, 'Directory of the run; runs/<config> if not set.')
    flags.DEFINE_bool('describe', False, "Whether to print the network's card and exit.")
    flags.mark_flag_as_required('config')
    hosts.define_flags()


def main() -> None:
    """Trains, then scores the best epoch."""
    hosts.supervise()
    values = flags.FLAGS
    if values.describe:
        from ocelot_jax.models import card

        print(card.describe(values.config))
        return
    from ocelot_jax.data import sources
    from ocelot_jax.io import disk
    from ocelot_jax.runs import configuration

    name = configuration.config_name(config_flags.get_config_filename(values['config']))
    workdir = Path(values.workdir or f'runs/{name}')
    configuration.check_values(values.config)
    sources.check_source(values.config.data.source)
    disk.check_writable(workdir)
    process.keep_compilations(workdir.parent)
    with hosts.joined():
        process.check_devices()
        # here, so that what is mistyped is answered before seconds of loading
        from ocelot_jax.evaluation import evaluator
        from ocelot_jax.io.hosts import is_first
        from ocelot_jax.training import loop

        loop.train_and_evaluate(values.config, workdir)
        report = evaluator.evaluate_run([workdir])
        if is_first():
            print(report.render())


if __name__ == '__main__':
    process.use_huge_pages()
    define_flags()
    app.run(main)
