from .data.pair_folder import PairFolder as PairFolder
from .data.sources import open_pairs as open_pairs
from .evaluation.evaluator import evaluate_run as evaluate_run
from .evaluation.official import score_file as score_file
from .evaluation.tuning import tune_run as tune_run
from .io.errors import InputError as InputError
from .metrics.cells import Cells as Cells
from .metrics.matching import score_cells as score_cells
from .models.factory import create_model as create_model
from .prediction.pairs import FoundPair as FoundPair
from .prediction.predictor import Predictor as Predictor
from .prediction.predictor import load as load
from .prediction.to_files import predict_input as predict_input
from .runs.config_files import read_config as read_config
from .slides.result import SlideResult as SlideResult
from .training.loop import train_and_evaluate as train_and_evaluate

__version__: str
