"""The command line: each verb is one function call, and nothing imports torch before it runs."""

import io
import os
import shutil
import sys
from collections.abc import Sequence

from lcnet.cli.completion import SHELLS, PrintCompletion
from lcnet.cli.parser import Parser
from lcnet.cli.standing import where_one_stands
from lcnet.cli.verbs import VERBS
from lcnet.errors import LCNetError, Stopped, one_line
from lcnet.freed_memory import keep_freed_memory
from lcnet.progress import on_lines


def build_parser(verb: str | None = None, words: Sequence[str] = ()) -> Parser:
    """The parser of the command line; with `verb`, only that verb has its flags.

    An empty `verb` gives no verb its flags, since adding all of them is slow. `words` are those of
    the command, for messages.
    """
    parser = Parser(
        prog="lcnet",
        description="Multi-label image classification. A project goes: split, check, train, "
        "evaluate, calibrate, predict. Help on one verb: lcnet VERB --help.",
        version=_version(),
    )
    parser.verb, parser.words = verb or "", words
    parser.add_argument(
        "--print_completion",
        action=PrintCompletion,
        whole=build_parser,
        metavar="SHELL",
        help=f"Print a script with which a shell ({', '.join(SHELLS)}) completes verbs and flags.",
    )
    verbs = parser.add_subcommands(dest="verb", metavar="VERB")
    for name, entry in VERBS.items():
        wanted = verb is None or name == verb
        # The sentences are shown without a verb only, and reading one imports the verb's file.
        of_verb = entry.parser() if wanted else Parser()
        if isinstance(of_verb, Parser) and wanted:
            of_verb.verb, of_verb.words = name, words
        verbs.add_subcommand(name, of_verb, help=None if verb else entry.help)
    return parser


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit.

    0: done. 1: wrong data. 2: wrong command. 130, 141 or 143: stopped.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file name may hold any bytes
    try:
        given = sys.argv[1:] if argv is None else argv
        if not given:
            print(where_one_stands())
            sys.exit(0)
        keep_freed_memory()
        parser = build_parser(next((word for word in given if word in VERBS), ""), given)
        arguments = parser.instantiate(parser.parse_args(given))
        code = VERBS[arguments.verb].run(arguments[arguments.verb], given)
    except LCNetError as error:
        _say(str(error))
        code = error.exit_code
    except BrokenPipeError:  # head, or another reader, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    except OSError as error:
        _say(one_line(str(error)))
        code = 1
    except MemoryError:
        _say("out of memory. Use smaller pictures or files, or a smaller batch size.")
        code = 1
    except Stopped as stopped:
        _say(str(stopped))
        code = int(str(stopped.code))
    except KeyboardInterrupt:
        _say("stopped")
        code = 130
    sys.exit(code)


def _say(message: str) -> None:
    """Print a message on standard error: one line, or on a terminal lines that fit it."""
    text = f"lcnet: {message}"
    if sys.stderr.isatty():
        text = on_lines(text, columns=shutil.get_terminal_size().columns)
    print(text, file=sys.stderr)


def _version() -> str:
    from importlib.metadata import version

    return version("lcnet")
