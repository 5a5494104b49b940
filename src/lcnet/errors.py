"""The errors a user can cause, and the end of a run that was told to stop.

LCNetError
├── ConfigError       the command or the configuration is wrong   exit code 2
├── DataError         pictures, tables or label names are wrong   exit code 1
├── CheckpointError   a model or run folder is wrong              exit code 1
└── TrainingError     a run cannot go on as it is                 exit code 1
Stopped               a signal asked for it                       exit code 128 + signal

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


class TrainingError(LCNetError):
    """A run that cannot go on: a full disk, a loss that is no number, a process that died."""


class Stopped(SystemExit):
    """A run that a signal has stopped; `code` is what shells expect, 143 for SIGTERM.

    It is no Exception, so that nothing takes it for a failure of its own and goes on.
    """

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(128 + signal)
        self.message = message

    def __str__(self) -> str:
        return self.message
