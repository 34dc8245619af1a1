"""Scores cells that any program found: the official mF1 of a file in the challenge's format.

    python -m ocelot_jax.score --predictions=FILE.json --data=DIR_OR_ZIP --split=val

prints one JSON object: mF1, and F1, precision and recall of each class.
"""

import json

from absl import flags

from ocelot_jax.cli import app


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_string('predictions', None, "JSON file in the challenge's format.", required=True)
    flags.DEFINE_string('data', None, "Directory or zip in OCELOT's layout.", required=True)
    flags.DEFINE_string('split', None, 'train, val or test.', required=True)
    flags.DEFINE_float('match_distance_um', 3.0, 'Cutoff of a match, in micrometres.')
    flags.DEFINE_list('cell_classes', ['BC', 'TC'], 'Names of the labels 1, 2, ...')


def main() -> None:
    """Prints the score of the flags' predictions."""
    from ocelot_jax.data.pair_folder import PairFolder
    from ocelot_jax.evaluation import official

    values = flags.FLAGS
    folder = PairFolder(values.data, cell_classes=values.cell_classes)
    scores = official.score_file(
        values.predictions, folder, values.split, values.match_distance_um
    )
    print(json.dumps(scores))


if __name__ == '__main__':
    define_flags()
    app.run(main)
