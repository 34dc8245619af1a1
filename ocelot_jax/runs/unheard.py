"""Leaves out what Orbax says beside what it raises: hundreds of lines of the same, and more.

After a failed read its other reads go on, and end in an event loop that is closed: each prints a
traceback of its own, out of anybody's reach but these hooks.
"""

import functools
import logging
import sys
import types
from pathlib import Path

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
    hook, unraisable_hook = sys.excepthook, sys.unraisablehook

    def tell(kind, error, trace) -> None:
        if not (isinstance(error, RuntimeError) and str(error) == 'Event loop is closed'):
            hook(kind, error, trace)

    def tell_unraisable(told) -> None:
        is_read = isinstance(told.object, types.CoroutineType)
        if not (is_read and 'orbax' in Path(told.object.cr_code.co_filename).parts):
            unraisable_hook(told)

    sys.excepthook, sys.unraisablehook = tell, tell_unraisable
