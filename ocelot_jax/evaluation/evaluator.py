"""Scores a run's best epoch: `python -m ocelot_jax.evaluate --workdir=RUN --split=test`.

Prints the table and writes it to `<workdir>/evaluation/<split>/` as `scores.json` and
`scores.csv`, with the cells found (`predictions.json`, in the challenge's format), what reports
are made of (see `records`) and a page of overlays (`overlays.png`). Several runs,
`--workdir=RUN1,RUN2`, vote; what they and `--test_time_augmentation` come to is written to
`<split>-ensemble` and `<split>-tta` of the first. So is what another `--engine` than XLA comes
to, to `<split>-<engine>`.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import flax.jax_utils
import jax
import ml_collections
import numpy as np

from ocelot_jax.data.pair_folder import as_record, split_name
from ocelot_jax.data.sources import open_source, splits
from ocelot_jax.evaluation import challenge, outcomes
from ocelot_jax.inference import engines, loop
from ocelot_jax.io import text_table
from ocelot_jax.models import factory
from ocelot_jax.runs import files, loading
from ocelot_jax.runs.directory import RunDirectory
from ocelot_jax.viz import overlay

_OVERLAYS = 8

Table = dict[str, dict[str, float]]


def evaluate_run(
    workdirs: Sequence[Path],
    split: str | None = None,
    source: str | None = None,
    untrained: bool = False,
    test_time_augmentation: bool = False,
    engine: str = 'xla',
) -> Table:
    """Scores the best epoch of a run on a split, and writes and prints what came out.

    Args:
        workdirs: the run's directory, or those of several that vote.
        split: 'train', 'validation' or 'test'; where None test, or validation if there is no test.
        source: other data than the run's own, named as `config.data.source` names it.
        untrained: whether to score the network before training as well.
        test_time_augmentation: see `trained.load`.
        engine: what computes the network, one of `engines.ENGINES`.

    Returns:
        Row names ('population', each organ, and maybe 'untrained') to scores by name. Several
        hosts write the scores alone.

    Raises:
        FileNotFoundError: the directory holds no run.
        ValueError: the run has no finished epoch, or the data is wrong.
    """
    model = loading.load_runs(workdirs, test_time_augmentation)
    config = model.config
    if source is not None:
        config.data.source = source
    split = split or splits(config.data)[-1]
    pairs = open_source(config.data, split)
    example = as_record(pairs[0])
    cell_mpp = float(example['cell_mpp'])
    if engine == 'xla':
        predict = loop.create_predictor(config, cell_mpp, model.ensemble)
        prepare = flax.jax_utils.replicate
    else:
        predict = loop.create_engine_predictor(config, cell_mpp)
        prepare = lambda variables: engines.create(engine, config, variables, model.ensemble)

    def found(variables: dict[str, Any]) -> Iterator[loop.Prediction]:
        return loop.predictions(predict, prepare(variables), pairs, config)

    kept: list[loop.Prediction] = []
    evaluation = loop.evaluate(_keep(found(engines.join(model)), kept), len(pairs), config)
    organs = np.array([as_record(pairs[i])['organ'] for i in range(len(pairs))])
    table = tabulate(evaluation, organs, config)
    if untrained:
        initial = factory.init_variables(factory.create_model(config), config.seed, example)
        initial = loop.stack([initial]) if model.ensemble else initial
        before = loop.evaluate(found(initial), len(pairs), config)
        table['untrained'] = {'pairs': len(pairs), **loop.scores(before, config)}
    if jax.process_index() == 0:
        kind = '-ensemble' * model.ensemble + '-tta' * test_time_augmentation
        kind += f'-{engine}' * (engine != 'xla')
        written = RunDirectory(workdirs[0]).evaluation(split_name(split), kind)
        folder = written.path
        folder.mkdir(parents=True, exist_ok=True)
        names = ' and '.join(
            f'{workdir}, step {step}' for workdir, step in zip(workdirs, model.steps, strict=True)
        )
        print(f'{names}, on {split}:\n{render(table)}\n{written.scores}')
        if jax.process_count() == 1:  # the cells of other hosts' pairs are not here
            write_predictions(kept, written.predictions, config)
            outcomes.write_records(kept, pairs, written, config)
            write_overlays(kept, pairs, written.overlays, config)
            print(written.overlays)
        # last: where they are, the evaluation is whole
        files.write_scores(written, table)
    return table


def tabulate(
    evaluation: loop.Evaluation, organs: np.ndarray, config: ml_collections.ConfigDict
) -> Table:
    """Scores by row: the whole population, then each organ (Table 6).

    Args:
        evaluation: of N pairs.
        organs: [N] names.
        config: as `configs/default.py`.
    """
    rows = {'population': np.ones(len(organs), bool)}
    rows |= {str(organ): organs == organ for organ in np.unique(organs)}
    return {
        name: {'pairs': int(chosen.sum()), **loop.scores(evaluation, config, chosen)}
        for name, chosen in rows.items()
    }


def render(table: Table) -> str:
    """The table as text, columns aligned."""
    names = list(table['population'])
    cells = [['', *names]]
    for row, scores in table.items():
        cells.append([row, *(_format(scores.get(name)) for name in names)])
    return text_table.align(cells)


def write_predictions(
    predictions: list[loop.Prediction], path: Path, config: ml_collections.ConfigDict
) -> None:
    """Writes the cells found in the challenge's format."""
    cells = [(found.points, found.labels, found.scores) for found in predictions]
    challenge.write(path, cells, num_classes=len(config.data.cell_classes))


def write_overlays(
    predictions: list[loop.Prediction],
    pairs: Any,
    path: Path,
    config: ml_collections.ConfigDict,
) -> None:
    """Draws a few pairs, evenly spread over the split, on one page."""
    classes = tuple(config.data.cell_classes)
    pictures = [overlay.draw_legend(classes, tuple(config.data.tissue_classes))]
    chosen = np.unique(np.linspace(0, len(predictions) - 1, _OVERLAYS).astype(int))
    for found in (predictions[i] for i in chosen):
        pair = as_record(pairs[found.index])
        cell_um = float(pair['cell_mpp']) * pair['cell_image'].shape[1]
        tissue_um = float(pair['tissue_mpp']) * pair['tissue_image'].shape[1]
        verdict = overlay.judge(
            loop.match(found, config),
            found.points,
            found.labels,
            found.true_points,
            found.true_labels,
        )
        pictures.append(
            overlay.draw_pair(
                title=f'{pair["pair_id"]} {pair["organ"]}',
                cell_image=pair['cell_image'],
                tissue_image=pair['tissue_image'],
                tissue_mask=found.true_tissue,
                tissue_pred=found.tissue,
                center=pair['center'],
                fov_ratio=cell_um / tissue_um,
                verdict=verdict,
                radius=found.distance,
                cell_classes=classes,
            )
        )
    overlay.write_page(pictures, path)


def _keep(
    predictions: Iterable[loop.Prediction], kept: list[loop.Prediction]
) -> Iterator[loop.Prediction]:
    """Passes predictions on, and keeps them."""
    for prediction in predictions:
        kept.append(prediction)
        yield prediction


def _format(value: float | None) -> str:
    if value is None:
        return '-'
    return str(value) if isinstance(value, int) else f'{value:.3f}'
