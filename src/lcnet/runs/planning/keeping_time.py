"""Keeps a run within its minutes: features first, then as many epochs as there is time for."""

import time
from dataclasses import replace
from itertools import islice

from lcnet.data.loading import train_loader
from lcnet.evaluating.frozen_features import frozen_features
from lcnet.progress import tell
from lcnet.runs.planning.plan_text import in_minutes
from lcnet.runs.planning.speed_trial import learner
from lcnet.runs.start import Start
from lcnet.training.watching import Watch

BATCHES = 10
"""Batches on which the speed of training is measured once features are there."""
MARGIN = 1.1
"""How much longer epochs may take than such batches."""


class TimeLimit(Watch):
    """Ends a training when its time is up, with the best model so far."""

    finishes = True

    def __init__(self, until: float) -> None:
        """Take the `time.monotonic()` at which training ends."""
        self.until = until

    def settle(self, start: Start) -> Start:
        """The start with features computed, and fewer epochs if these took longer than planned."""
        recipe = start.config.train
        if not recipe.cache_features:
            return start
        began = time.monotonic()
        epoch_s = self._epoch_seconds(start)
        fits = max(1, int((self.until - time.monotonic()) / (MARGIN * epoch_s)))
        if fits >= recipe.epochs:
            return start
        tell(
            f"features are there after {in_minutes(time.monotonic() - began)}, so that there is "
            f"time for {fits} epoch{'s' * (fits != 1)} in place of {recipe.epochs}"
        )
        train = replace(recipe, epochs=fits)
        return replace(start, config=replace(start.config, train=train))

    def _epoch_seconds(self, start: Start) -> float:
        """The seconds of an epoch with its validation, from some of its batches."""
        config, recipe = start.config, start.config.train
        parts = config, start.model, start.info
        maps = frozen_features(*parts, start.training, mirrored=recipe.flip)
        frozen_features(*parts, start.validation)
        loader = train_loader(maps, batch_size=recipe.batch, workers=0, seed=recipe.seed)
        step = learner(start.model, recipe, start.info.preprocessing)
        taken = list[float]()
        began = time.perf_counter()
        for batch, targets in islice(loader, BATCHES):
            step(batch, targets)
            taken.append(time.perf_counter() - began)
            began = time.perf_counter()
        batches = len(loader) + len(start.validation) / 3 / recipe.batch
        return batches * sorted(taken)[len(taken) // 2]
