"""A run's directory: its names, and that nobody else has them."""

import ast
from pathlib import Path

from conftest import ROOT

from ocelot_jax.runs.directory import EvaluationDirectory, RunDirectory

# what predictions and slides have in folders of their own
SHARED = {'cells.csv', 'predictions.json', 'overlays.png', 'lock'}


def paths_of(directory):
    """The paths that a directory's properties give, by property."""
    names = [name for name, value in vars(type(directory)).items() if isinstance(value, property)]
    found = {name: getattr(directory, name) for name in names}
    return {name: path for name, path in found.items() if isinstance(path, Path)}


def literals(file):
    """The strings of a module's code, without docstrings."""
    tree = ast.parse(file.read_text('utf-8'))
    told = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in told:
            yield node.value


def test_every_path_is_another_one():
    run = RunDirectory(Path('runs/a'))
    evaluation = run.evaluation('test', '-tta')
    assert evaluation == EvaluationDirectory(Path('runs/a/evaluation/test-tta'))
    assert (evaluation.run, evaluation.split) == (run.path, 'test-tta')
    paths = [*paths_of(run).values(), *paths_of(evaluation).values()]
    assert len(set(paths)) == len(paths)
    assert set(run.deployed) < set(paths)


def test_no_other_module_names_a_file_of_it():
    run = RunDirectory(Path())
    paths = [*paths_of(run).values(), *paths_of(run.evaluation('split')).values()]
    names = {path.name for path in paths} - SHARED - {''}
    assert {'config.json', 'metrics.csv', 'pairs.csv', 'evaluation'} < names
    for file in (ROOT / 'ocelot_jax').rglob('*.py'):
        if file.parent.name != 'runs':
            texts = list(literals(file))
            # a folder's name is a word, too, where no path goes on behind it
            named = {
                n for n in names for t in texts if t == n or (n if '.' in n else f'{n}/') in t
            }
            assert not named, file
