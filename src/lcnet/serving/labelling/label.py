"""`lcnet label`: fill a half-filled label table by hand, with a model that asks."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from lcnet.bounds import AtLeast, Within, bounded
from lcnet.errors import ConfigError
from lcnet.files import AnyPath
from lcnet.serving.listening import address_of, is_this_machine, listening_at


@bounded
def label(
    model: AnyPath,
    table: Path,
    out: Path,
    *,
    annotator: str = "",
    host: str = "127.0.0.1",
    port: Annotated[int, Within(0, 65_535)] = 7870,
    batch_size: Annotated[int, AtLeast(1)] = 8,
    correct: bool = False,
) -> bool:
    """Fill the blank cells of a label table by hand, on a page that asks the most telling first.

    Each answer moves the other labels' probabilities and is written to --out at once. Runs until
    SIGINT or SIGTERM; the same command goes on where it stopped.

    Args:
        model: Run or model folder, or hf://user/name. Answers move the other labels if the model
            was given that (lcnet calibrate --evidence).
        table: Label table of any layout that lcnet reads, with blank cells. Its labels are some of
            the model's. It is not changed. Or a folder of pictures without labels.
        out: CSV file to write: a row per picture, a column per label; 1, 0 or blank. Answers that
            are in it already are kept. FILE.log beside it has each answer.
        annotator: Your name, which others see if their answer differs from yours.
        host: Address to listen on; the default answers only this machine.
        port: Port; 0 takes a free one.
        batch_size: Pictures that go through the model together, at most.
        correct: Also ask about filled cells, where the model contradicts them most first; the
            table needs no blank cell. A picture is opened by its path, ADDRESS/?picture=PATH, as
            the report links its worst errors.

    Returns:
        Whether anything was answered, now or before.

    Raises:
        DataError: if a table cannot be read.
        CheckpointError: if the model cannot be read.
        ConfigError: if a package is missing, the address cannot be used, the model is an exported
            file, or the table has other labels than the model or no blank cell.
    """
    for package in ("fastapi", "uvicorn"):
        if find_spec(package) is None:
            raise ConfigError.missing(package, "serve")
    from lcnet.progress import tell

    with listening_at(host, port) as listening:
        # torch and the model take seconds, so a word comes before they are imported.
        tell(f"loading {model}; the page's address comes when it answers, in some seconds")
        from lcnet.serving.labelling.answer_log import answered
        from lcnet.serving.labelling.desk import open_desk
        from lcnet.serving.labelling.server import run

        desk = open_desk(
            model,
            Path(table),
            Path(out),
            annotator=annotator,
            batch_size=batch_size,
            correct=correct,
        )
        if not is_this_machine(host):
            tell(
                f"warning: everybody who can reach {host} can see the pictures and answer. "
                "Use the default --host where that is not wanted."
            )
        address = address_of(host, listening)
        run(desk, listening, host, lambda: tell(f"page {address}, answers in {out}; Ctrl+C stops"))
    is_answered = answered(Path(out))
    tell(f"stopped; all answers are in {out}" if is_answered else "stopped; nothing was answered")
    if is_answered and Path(table).is_dir():
        tell(
            f"{out} has the pictures of {table} alone. How to train on them together with an older "
            "table: docs/guide/label_page.md"
        )
    return is_answered
