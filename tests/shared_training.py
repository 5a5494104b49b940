"""`lcnet` as a command whose training something happens to, in each process that takes part.

`HAPPENS` in the environment is a list of events: `{"what": "SIGTERM", "rank": 1, "epoch": 1,
"batch": 2}` sends that process a signal before its step, `"what": "nan"` makes the step's pixels
nan. `NOTES` names a folder where each process leaves what it did to files below `WATCHED`, and its
exit code.
"""

import json
import os
import signal
import sys
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
    os.environ["TORCH_CPP_LOG_LEVEL"] = "ERROR"  # as `lcnet train` does before it imports torch
    import torch

    from lcnet.data.transforms import Normalize
    from lcnet.training import run
    from lcnet.training.learner import Learner
    from lcnet.training.processes import rank

    begin, normalize, now = Learner.on_train_batch_start, Normalize.forward, set[str]()

    def begun(self: Learner, batch: Any, batch_idx: int) -> None:
        now.clear()
        place = {"rank": rank(), "epoch": self.current_epoch, "batch": batch_idx}
        for event in events:
            if all(event[name] == value for name, value in place.items()):
                now.add(event["what"])
                if event["what"] != "nan":
                    os.kill(os.getpid(), signal.Signals[event["what"]])
        begin(self, batch, batch_idx)

    def normalized(self: Normalize, images: torch.Tensor) -> torch.Tensor:
        spoiled = self.training and "nan" in now
        return normalize(self, images) * (float("nan") if spoiled else 1)

    # A report's charts take longer than such a run.
    run.report_on = lambda run, measured, file: file.write_text("report")  # type: ignore
    Learner.on_train_batch_start = begun  # type: ignore[method-assign]
    Normalize.forward = normalized  # type: ignore[method-assign]


def main() -> None:
    """Run the command with all that."""
    changes = note_changes(Path(os.environ["WATCHED"]))
    own = os.environ.get("LOCAL_RANK", "0")
    code = None
    try:
        arrange(json.loads(os.environ["HAPPENS"]))
        from lcnet.cli import main as lcnet

        lcnet()
    except SystemExit as ended:
        code = ended.code
        raise
    finally:
        said = {"code": code, "changes": changes}
        (Path(os.environ["NOTES"]) / f"{own}.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main()
