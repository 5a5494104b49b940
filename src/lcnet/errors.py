"""The errors a user can cause, and nothing else.

LCNetError
├── ConfigError       the command or the configuration is wrong   exit code 2
├── DataError         pictures, tables or label names are wrong   exit code 1
├── CheckpointError   a model or run folder is wrong              exit code 1
└── ProcessError      another process of a training is gone       exit code 1

The message is one line: what was expected, what came, where, and what to do next.
"""


def reason_of(error: Exception) -> str:
    """The first line of what a library's error says, or its type where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]


class LCNetError(Exception):
    """Base of all errors a user can cause; `exit_code` is what the command line returns."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        # A loader process sends its error as a traceback; its last line is the message.
        last = message.strip().splitlines()[-1]
        super().__init__(last.removeprefix(f"{__name__}.{type(self).__name__}: "))


class ConfigError(LCNetError):
    """A command, flag or configuration value that cannot work."""

    exit_code = 2


class DataError(LCNetError):
    """A data set, picture or label that cannot be used."""


class CheckpointError(LCNetError):
    """A model folder, run folder or checkpoint that cannot be read or does not fit."""


class ProcessError(LCNetError):
    """A process that trains together with this one has died or hangs."""
