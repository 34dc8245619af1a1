"""Leaves out what Orbax says beside what it raises: hundreds of lines of the same, and more.

After a failed read its other reads go on, and end in an event loop that is closed by then: each
prints a traceback, out of anybody's reach but this hook.
"""

import functools
import logging
import sys
import types
from pathlib import Path
from typing import Any

from absl import logging as absl_logging


class _Unheard(logging.Filter):
    """Of its saves."""

    def filter(self, record: logging.LogRecord) -> bool:
        return 'orbax' not in Path(record.pathname).parts


_unheard = _Unheard()


@functools.cache
def leave_out() -> None:
    """Begins to leave it out, for all of this process; once."""
    absl_logging.get_absl_logger().addFilter(_unheard)
    hook = sys.unraisablehook

    def tell(told: Any) -> None:
        if not _is_of_a_read(told):
            hook(told)

    sys.unraisablehook = tell


def _is_of_a_read(told: Any) -> bool:
    if isinstance(told.object, types.CoroutineType):
        return 'orbax' in Path(told.object.cr_code.co_filename).parts
    # TensorStore tells a loop of Orbax's that a read has ended
    return isinstance(told.exc_value, RuntimeError) and (
        str(told.exc_value) == 'Event loop is closed'
    )
