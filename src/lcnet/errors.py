"""The errors a user can cause, and the end of a run that was told to stop.

LCNetError
├── ConfigError       the command or the configuration is wrong   exit code 2
├── DataError         pictures, tables or label names are wrong   exit code 1
├── CheckpointError   a model or run folder is wrong              exit code 1
└── TrainingError     a run cannot go on as it is                 exit code 1
    └── ProcessError  another process of the run is gone          exit code 1
Stopped               a signal asked for it                       exit code 128 + signal

The message is one line: what was expected, what came, where, and what to do next.
"""


def reason_of(error: Exception) -> str:
    """The first line of what a library's error says, or its type where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]


LONGEST = 1_000
"""Characters of a message, at most."""


def one_line(text: str) -> str:
    """The text in one line of at most `LONGEST` characters, its start and its end.

    Names of files and labels stand in messages as they came, and may hold line ends, escape codes
    or a megabyte.
    """
    shown = "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )
    if len(shown) <= LONGEST:
        return shown
    return f"{shown[: LONGEST * 2 // 3]} ... {shown[-LONGEST // 4 :]}"


class LCNetError(Exception):
    """Base of all errors a user can cause; `exit_code` is what the command line returns."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        # A loader process sends its error as a traceback; its last line is the message.
        if message.startswith("Caught ") and "Original Traceback" in message:
            last = message.strip().splitlines()[-1]
            message = last.removeprefix(f"{__name__}.{type(self).__name__}: ")
        super().__init__(one_line(message.strip()))


class ConfigError(LCNetError):
    """A command, flag or configuration value that cannot work."""

    exit_code = 2

    @classmethod
    def missing(cls, package: str, extra: str, *, use: str = "this") -> "ConfigError":
        """The error for a package that is not installed, and is of one of lcnet's extras."""
        return cls(
            f"{package} is not installed, which {use} needs. "
            f"Install it: pip install 'lcnet[{extra}]'"
        )


class DataError(LCNetError):
    """A data set, picture or label that cannot be used."""


class CheckpointError(LCNetError):
    """A model folder, run folder or checkpoint that cannot be read or does not fit."""


class TrainingError(LCNetError):
    """A run that cannot go on: a full disk, a loss that is no number, a process that died."""


class ProcessError(TrainingError):
    """A process that trains together with this one has died or hangs."""


class Stopped(SystemExit):
    """A run that a signal has stopped; `code` is what shells expect, 143 for SIGTERM.

    It is no Exception, so that nothing takes it for a failure of its own and goes on.
    """

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(128 + signal)
        self.message = message

    def __str__(self) -> str:
        return self.message
