"""`lcnet` as a command whose training something happens to, in each process that takes part.

`HAPPENS` in the environment is a list of events: `{"what": "SIGTERM", "rank": 1, "epoch": 1,
"batch": 2}` sends that process a signal before its step, `"what": "nan"` makes the step's pixels
nan. With `"unless": "resumed"` it happens only before the run is resumed. `NOTES` names a folder
where each process leaves what it did to files below `WATCHED`, and its exit code.

torch's launcher forks the processes here, so that they need not import torch again, which takes
longer than such a training. `lcnet train` starts each with a new Python.
"""

import json
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

NOTED = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "shutil.rmtree")
"""The audit events by which a folder changes, but for opened files."""


def note_changes(folder: Path) -> list[str]:
    """What this process does from now on to the files in a folder."""
    seen: list[str] = []

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        writes = event in NOTED or (
            event == "open" and (set("wax+") & set(str(arguments[1])) or arguments[2] & os.O_WRONLY)
        )
        if writes and str(arguments[0]).startswith(str(folder)):
            seen.append(f"{event} {arguments[0]}")

    sys.addaudithook(hook)
    return seen


def arrange(events: list[dict[str, Any]]) -> None:
    """Let the events come to pass in this process's training."""
    import torch

    from lcnet.data.transforms import Normalize
    from lcnet.reporting import gather_report
    from lcnet.training import loop

    seed_step, normalize, now = loop.seed_step, Normalize.forward, set[str]()

    def seeded(seed: int, epoch: int, batch: int, rank: int) -> None:
        now.clear()
        place = {"rank": rank, "epoch": epoch, "batch": batch}
        for event in events:
            happens = all(event[name] == value for name, value in place.items())
            if happens and not (event.get("unless") == "resumed" and was_resumed()):
                now.add(event["what"])
                if event["what"] != "nan":
                    os.kill(os.getpid(), signal.Signals[event["what"]])
        seed_step(seed, epoch, batch, rank)

    def normalized(self: Normalize, images: torch.Tensor) -> torch.Tensor:
        spoiled = self.training and "nan" in now
        return normalize(self, images) * (float("nan") if spoiled else 1)

    # A report's charts take longer than such a run.
    gather_report.report_on = lambda run, measured, file: file.write_text("report")  # type: ignore
    loop.seed_step = seeded
    Normalize.forward = normalized  # type: ignore[method-assign]


def was_resumed() -> bool:
    """Whether the run that is watched has been resumed."""
    record = json.loads((Path(os.environ["WATCHED"]) / "run.json").read_text())
    return bool(record["resumed"])


def watch() -> None:
    """Let the processes of the training note what they change, and the events come to pass."""
    from lcnet.training import launching

    work = launching._work

    def noted(*given: Any) -> Any:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)  # as in a new Python, not as in the launcher
        signal.signal(signal.SIGINT, signal.default_int_handler)
        changes = note_changes(Path(os.environ["WATCHED"]))
        arrange(json.loads(os.environ["HAPPENS"]))
        code: object = 1
        try:
            result = work(*given)
            code = 0
            return result
        except SystemExit as ended:
            code = ended.code
            raise
        finally:
            said = {"code": code, "changes": changes}
            (Path(os.environ["NOTES"]) / f"{os.environ['LOCAL_RANK']}.json").write_text(
                json.dumps(said)
            )

    launching._work = noted
    launching.LaunchConfig = partial(launching.LaunchConfig, start_method="fork")  # type: ignore


if __name__ == "__main__":
    from lcnet.cli import main

    watch()
    main()
