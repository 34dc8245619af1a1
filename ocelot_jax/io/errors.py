"""Errors that the user can mend. A command ends with their one line; any other is a bug."""


class InputError(ValueError):
    """What the user gave is wrong: one line with file, field, found, wanted and what to do."""


class MissingFileError(InputError, FileNotFoundError):
    """A file or directory that the user named is not there."""


class MissingPackageError(InputError, ImportError):
    """An optional package is not installed."""


class OutputError(InputError, OSError):
    """The output cannot be written: no permission, or no room."""
