"""Writes a run's network for other programs: `python -m ocelot_jax.export --workdir=RUN OUT.onnx`.

OUT.onnx is the best epoch as an ONNX graph, written once ONNX Runtime computes from it what JAX
does. OUT.safetensors holds its branches under the names of segmentation_models.pytorch.
"""

from pathlib import Path

from absl import flags

from ocelot_jax.cli import app, parsing
from ocelot_jax.io.errors import InputError


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_string('workdir', None, 'Directory of the run.', required=True)
    flags.DEFINE_string(
        'patches', None, "SIDE,UM,SIDE,UM: patches of the graph; the run's own by default."
    )


def main(file: str) -> None:
    """Exports the run that the flags name."""
    [workdir], path = parsing.parse_runs([flags.FLAGS.workdir]), Path(file)
    if path.suffix == '.onnx':
        from ocelot_jax.inference import exporting

        difference = exporting.export(workdir, path, parsing.parse_patches(flags.FLAGS.patches))
        print(f'{path}: probabilities within {difference:.1e} of those of JAX')
    elif path.suffix == '.safetensors':
        if flags.FLAGS.patches:
            raise InputError(f'--patches: is for graphs; {path} fits patches of any size')
        from ocelot_jax.interop import pretrained

        pretrained.export(workdir, path)
        print(path)
    else:
        raise InputError(f'{path}: want a name that ends in .onnx or .safetensors')


if __name__ == '__main__':
    define_flags()
    app.run(main, positionals=['OUT'])
