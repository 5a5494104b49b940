"""When a training saves its state."""

import time
from dataclasses import dataclass, field

from lcnet.config import Train
from lcnet.model_folder import ModelInfo
from lcnet.run_folder import RunFolder
from lcnet.training.checkpoints import write_checkpoint
from lcnet.training.engine import Engine
from lcnet.training.state import State


@dataclass
class Saving:
    """Writes the checkpoints of a run, and knows when the next one is due."""

    run: RunFolder
    info: ModelInfo
    engine: Engine
    recipe: Train
    saved: float = field(default_factory=time.monotonic)

    @property
    def is_due(self) -> bool:
        """Whether the last checkpoint is old enough for another one."""
        minutes = self.recipe.save_minutes  # 0 for none within an epoch
        return minutes > 0 and time.monotonic() - self.saved >= 60 * minutes

    def save(self, state: State) -> None:
        """Write a checkpoint; all processes must call this."""
        content = state.content(self.engine)
        if self.engine.is_first:
            write_checkpoint(self.run, content, self.info, self.recipe)
        self.saved = time.monotonic()
