"""Runs commands as users do, in forks of one process that has loaded what is slow to load."""

import contextlib
import dataclasses
import importlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
import traceback
import warnings

SLOW = (
    'ocelot_jax.training.loop',
    'ocelot_jax.evaluation.evaluator',
    'ocelot_jax.evaluation.official',
    'ocelot_jax.dataset_statistics.describing',
)


@dataclasses.dataclass(frozen=True)
class Done:
    """What a command left: its status, and what it wrote."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def errors(self):
        return [line for line in self.stderr.splitlines() if line.startswith('error:')]


class Commands:
    """The process to fork; `run` gives what a command left."""

    def __init__(self):
        # set, so that no command starts itself anew
        environment = os.environ | {'GLIBC_TUNABLES': 'glibc.malloc.check=0'}
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, command, *arguments, cwd='.'):
        """Runs `python -m COMMAND`, or Python code where it holds a line break."""
        request = {'command': command, 'arguments': list(map(str, arguments)), 'cwd': str(cwd)}
        self._process.stdin.write(json.dumps(request) + '\n')
        self._process.stdin.flush()
        return Done(**json.loads(self._process.stdout.readline()))

    def close(self):
        self._process.stdin.close()
        self._process.wait()


def serve():
    for name in SLOW:
        importlib.import_module(name)
    warnings.filterwarnings('ignore', message='os.fork')
    for line in sys.stdin:
        print(json.dumps(fork(**json.loads(line))), flush=True)


def fork(command, arguments, cwd):
    with tempfile.TemporaryFile('w+') as out, tempfile.TemporaryFile('w+') as err:
        child = os.fork()
        if child == 0:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            os.chdir(cwd)
            status = run_here(command, arguments)
            with contextlib.suppress(OSError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)
        _, status = os.waitpid(child, 0)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read())
        return {
            'returncode': os.waitstatus_to_exitcode(status),
            'stdout': texts[0],
            'stderr': texts[1],
        }


def run_here(command, arguments):
    """Runs it as the interpreter would, and gives the status."""
    sys.argv = [command, *arguments]
    try:
        if '\n' in command:
            sys.argv[0] = '-c'
            exec(command, {'__name__': '__main__'})
        else:
            runpy.run_module(command, run_name='__main__', alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, int | None):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == '__main__':
    serve()
