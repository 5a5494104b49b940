"""The errors a user can cause, and the exception that ends a run after a signal.

LCNetError
├── ConfigError       the command or the configuration is wrong   exit code 2
├── DataError         pictures, tables or label names are wrong   exit code 1
├── CheckpointError   a model or run folder is wrong              exit code 1
└── TrainingError     a run cannot go on as it is                 exit code 1
    └── ProcessError  another process of the run is gone          exit code 1
Stopped               a signal stopped the run                    exit code 128 + signal
└── TimeUp            the run's time is over, and it is saved

The message is one line: what was expected, what lcnet got, where, and what to do next.
"""

import re
import shlex


def quoted(name: object) -> str:
    """A path or name as a shell takes it, for commands within messages."""
    return shlex.quote(str(name))


def reason_of(error: Exception) -> str:
    """The first line of a library's error message, or the error's type if it has no message."""
    return (str(error).splitlines() or [type(error).__name__])[0]


NEXT_SENTENCE = re.compile(r"\. (?=[A-Z])")


def fault_of(error: BaseException) -> str:
    """What is wrong, from the message of one of these errors, without what to do."""
    return NEXT_SENTENCE.split(str(error))[0]


LONGEST = 1_000
"""The most characters that a message may have."""


def one_line(text: str) -> str:
    """The text as one line of about `LONGEST` characters at most; the middle is cut out.

    Messages quote names of files and labels, which can contain line ends, escape codes or a
    megabyte of text.
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
        """The error for a missing package that one of lcnet's extras installs."""
        return cls(
            f"{package} is not installed, and {use} needs it. "
            f"Install it: pip install 'lcnet[{extra}]'"
        )


class DataError(LCNetError):
    """A data set, picture or label that cannot be used."""


class CheckpointError(LCNetError):
    """A model folder, run folder or checkpoint that cannot be read or does not fit."""


class TrainingError(LCNetError):
    """A run that cannot go on: a full disk, a loss that is not finite, a process that died."""


class ProcessError(TrainingError):
    """A process of a training on several devices has died or hangs."""

    reason = ""
    """Which process, and how it ended."""

    @classmethod
    def of(cls, run: object, reason: str, *, go_on: bool) -> "ProcessError":
        """The error for a run; `go_on` says whether it has a checkpoint to continue from."""
        then = (
            f"Continue from its last checkpoint with: lcnet train --resume {quoted(run)}"
            if go_on
            else f"There is no checkpoint yet: start again with --out {quoted(run)} --overwrite."
        )
        error = cls(
            f"{run}: a process of this training has died or hangs ({reason}), so all of them end. "
            f"{then}"
        )
        error.reason = reason
        return error


class Stopped(SystemExit):
    """The end of a run that a signal stopped; `code` is what shells expect, 143 for SIGTERM.

    It is not an Exception, so that no `except Exception` swallows it and the run goes on.
    """

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(128 + signal)
        self.message, self.signal = message, signal

    def __reduce__(self) -> tuple[type["Stopped"], tuple[str, int]]:
        """How one process sends it to another."""
        return type(self), (self.message, self.signal)

    def __str__(self) -> str:
        return self.message


class TimeUp(Stopped):
    """The end of a run whose time is over; it is saved and can go on."""
