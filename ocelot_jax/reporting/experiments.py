"""Which row of the paper a configuration is, and which data set it is trained on."""

from pathlib import Path

import ml_collections

from ocelot_jax.io.errors import InputError

CELL_ONLY = 'Cell-only'
LEAKING = 'Tissue-label leaking'
PRED_INTER_2 = 'Pred-to-inter-2'
FEATURE_SHARING = 'Feature-sharing'
UNET = 'Cell-only, U-Net'
MFOVCE = 'MFoVCE-Net'

# In the order of Table 5.
TABLE_5 = (
    CELL_ONLY,
    'Pred-to-input',
    'Pred-to-inter-1',
    PRED_INTER_2,
    'Pred-to-output',
    FEATURE_SHARING,
    LEAKING,
)
LABEL_ONLY = 'tissue label only'
FOV_ONLY = 'large FoV only'

_SEAMS = {
    'input': 'Pred-to-input',
    'encoder': 'Pred-to-inter-1',
    'aspp': PRED_INTER_2,
    'decoder': 'Pred-to-output',
}
_DATA_SETS = {'ocelot': 'OCELOT', 'tiger': 'TIGER', 'carp': 'CARP'}


def limited(experiment: str, to: str) -> str:
    """Names an experiment of Table 7 limited to one component, `LABEL_ONLY` or `FOV_ONLY`."""
    return f'{experiment}, {to}'


def is_told(experiment: str) -> bool:
    """Whether the models of an experiment are told the true tissue."""
    return experiment.startswith(LEAKING)


def experiment_of(config: ml_collections.ConfigDict) -> str:
    """Names the experiment that a configuration is, as the paper's row (Tables 5, 7, C.1).

    Where the paper has none, the name is made in the same way.

    Raises:
        InputError: `model.context` is unknown.
    """
    model = config.model
    large_fov = config.data.large_fov
    architecture = {'unet': 'U-Net', 'mfovce': MFOVCE}.get(model.architecture, model.architecture)
    if model.context == 'none':  # nothing of the tissue is told to the cell branch
        if model.architecture == 'mfovce':
            return MFOVCE if large_fov else f'{MFOVCE}, small FoV only'
        plain = model.architecture == 'deeplabv3plus'
        return CELL_ONLY if plain else f'{CELL_ONLY}, {architecture}'
    if model.context == 'features':
        name = FEATURE_SHARING
    elif model.context == 'label':
        name = LEAKING if model.seam == 'input' else f'{LEAKING} at {model.seam}'
    elif model.context == 'prediction':
        name = _SEAMS.get(model.seam, f'Pred-to-{model.seam}')
    else:
        raise InputError(
            f'config.model.context is {model.context!r}; want none, label, prediction or features'
        )
    if model.architecture != 'deeplabv3plus':
        name += f', {architecture}'
    if not large_fov:
        name = limited(name, LABEL_ONLY)
    if not config.tissue_loss_weight and model.context != 'label':
        name = limited(name, FOV_ONLY)
    return name


def data_set_of(source: str, trained_on: str | None = None) -> str:
    """Names the data set that a configuration's `data.source` is.

    The paper's name where it has one, 'OCELOT', 'TIGER' or 'CARP', for its release too; else the
    TFDS name without version, or the directory's or zip's name.

    Args:
        source: as in the configuration.
        trained_on: what the run calls its data, where it kept that; it tells a path such as
            `data/pairs` from the TFDS name `ocelot_synthetic/small`.
    """
    path = Path(source)
    last = path.stem if path.suffix == '.zip' else path.name
    is_path = path.suffix == '.zip' or source.startswith(('/', './', '../', '~'))
    name = last if is_path or trained_on == last else source.partition(':')[0]
    return _DATA_SETS.get('ocelot' if name.startswith('ocelot2023') else name, name)
