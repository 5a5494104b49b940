"""What the page does: opens pictures, takes answers, and says what is left."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcnet.data.sources import writable
from lcnet.errors import ConfigError
from lcnet.files import AnyPath
from lcnet.predicting.known_table import KnownTable
from lcnet.predicting.prediction import Prediction
from lcnet.predicting.predictor import Predictor
from lcnet.serving.known_advice import advice_on_known
from lcnet.serving.labelling.answers import AnswerFile, Changed, Changes, States
from lcnet.serving.labelling.asking import Asked, to_correct, to_fill
from lcnet.serving.labelling.leases import Leases
from lcnet.serving.labelling.scores import Scores
from lcnet.serving.labelling.unseen import unseen_by

View = dict[str, Any]
"""What the page shows of a picture, for JSON."""
UNSCORED, UNREADABLE, TAKEN = -1.0, -2.0, -np.inf
"""In the order of pictures these come after all that are scored; the last not at all."""
STATES = {True: 1, False: -1, None: 0}
WRONG = 0.02
"""The share of given labels that may be wrong where they are corrected: they are believed less."""
MOST_BESIDE = 10_000
"""Pictures without a row that are counted."""
PASSED = 1e6
"""By how much a picture that the window has had already comes later."""


def open_desk(
    model: AnyPath,
    table: Path,
    out: Path,
    *,
    annotator: str,
    batch_size: int,
    correct: bool = False,
) -> "Desk":
    """The desk for a table; arguments and errors are those of `label`."""
    if out.exists() and table.exists() and out.samefile(table):
        raise ConfigError(
            f"--out {out}: expected another file than the table, which stays as it is."
        )
    predictor = Predictor(model, batch_size=batch_size, precision="auto")
    predictor.evidence  # noqa: B018 -- an exported file is refused before anything is written
    known = KnownTable(table, predictor.info.labels, takes_pictures=True)
    is_filled = all(len(states) == len(known.labels) for _, states in known.pictures())
    if is_filled and not correct:
        raise ConfigError(
            f"{table}: expected a table with blank cells, got one in which all are filled. "
            f"There is nothing to label. To correct what is in it, add --correct.{_beside(known)}"
        )
    advice = advice_on_known(model, predictor, "label")
    answers = AnswerFile(out, known, annotator=annotator)
    if not correct:
        return Desk(predictor, known, answers, advice=advice)
    if predictor.evidence is not None:
        predictor.evidence.wrong = WRONG
    paths = [path for path, _ in known.pictures()]
    unseen, caution = unseen_by(model, paths, batch_size=batch_size)
    return Desk(
        predictor, known, answers, advice=advice, correct=True, unseen=unseen, caution=caution
    )


def _beside(known: KnownTable) -> str:
    """What to do about pictures in the table's folder that it does not list; empty if none."""
    unlisted = known.unlisted(MOST_BESIDE)
    if not unlisted:
        return ""
    count = f"{len(unlisted):,}{' or more' * (len(unlisted) == MOST_BESIDE)}"
    return (
        f" The table does not list {count} picture{'s' * (len(unlisted) != 1)} beside it, such as "
        f"{writable(str(unlisted[0]))}: to label them, give them rows with blank cells, or name a "
        "folder of nothing but these pictures in place of the table."
    )


class Desk:
    """A table, its answers and a model that asks; for many threads."""

    def __init__(
        self,
        predictor: Predictor,
        table: KnownTable,
        answers: AnswerFile,
        *,
        advice: str = "",
        correct: bool = False,
        unseen: Mapping[int, Predictor] | None = None,
        caution: str = "",
    ) -> None:
        """`advice` is what to run so that an answer moves the other labels; empty if it does.

        With `correct` given labels are asked too, where the model contradicts them. `unseen` are
        the pictures that another model scores, which has not seen them; `caution` says so, or that
        the model has seen them.
        """
        self.predictor = predictor
        self.answers = answers
        self.correct = correct
        self.labels = table.labels
        self.paths = [path for path, _ in table.pictures()]
        listed = repr((*map(str, self.paths), self.labels, str(answers.file.resolve())))
        self.table = hashlib.sha256(listed.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        """Another one where picture 7, or its answer, is another one."""
        self.advice, self.caution = advice, caution
        names = predictor.info.labels
        self._places = [names.index(label) for label in self.labels]
        self._numbers = {path: number for number, path in enumerate(self.paths)}
        count = len(self.paths)
        self._useful = np.full(count, UNSCORED)
        self._blank = np.zeros(count, np.int64)
        self._worth = np.zeros(count, np.int64)
        self._doubtful = np.zeros(count, np.int64)
        self._guard = RLock()
        self._leases = Leases()
        self.scores = Scores(predictor, self.paths, self._summarise, unseen=unseen)
        for number in range(count):
            self._blank[number] = len(self.labels) - len(self._known(number))

    def start(self) -> None:
        """Score the pictures that may be asked about in the background."""
        numbers = range(len(self.paths)) if self.correct else np.flatnonzero(self._blank).tolist()
        self.scores.start(numbers)

    # What the page asks for

    def open_next(self, window: str) -> View:
        """The most useful picture that no other window has, and this one has not had yet."""
        self._refresh()
        with self._guard:
            order = np.where(self._open(), self._useful, TAKEN)
            for number in self._leases.passed(window):
                order[number] -= PASSED
            for number in self._leases.held(but=window):
                order[number] = TAKEN
            number = int(np.argmax(order))
            if order[number] == TAKEN:
                self._leases.leave(window)
                return {"picture": None, "left": self._left()}
            self._leases.hold(window, number)
        return self.view(number)

    def open(self, window: str, number: int) -> View:
        """A picture by its number."""
        self._refresh()
        with self._guard:
            elsewhere = number in self._leases.held(but=window)
            self._leases.hold(window, number)
        return self.view(number) | {"elsewhere": elsewhere}

    def find(self, window: str, path: str) -> View:
        """A picture by its path, or by what its path ends in, as the report gives it.

        `picture` is None if there is no such picture, or more than one.
        """
        ends = [number for number, whole in enumerate(self.paths) if _ends_in(whole, path)]
        if len(ends) != 1:
            return {"picture": None, "left": self._left()}
        return self.open(window, ends[0])

    def answer(
        self,
        window: str,
        number: int,
        changes: Mapping[str, tuple[bool | None, bool | None]],
        *,
        undo: bool = False,
    ) -> View:
        """Change cells, given for each label what the annotator saw and what it shall be.

        If both are the same, that confirms the cell. With `undo` it is asked again.
        """
        wanted = {label: now for label, (_, now) in changes.items()}
        seen = {label: was for label, (was, _) in changes.items()}
        return self._changed(window, number, lambda _: wanted, seen, undo=undo)

    def fill(self, window: str, number: int) -> View:
        """Take the rest as predicted: unknown labels above their thresholds present, others absent.

        Where given labels are corrected, those that nobody has answered are confirmed besides. A
        picture that cannot be read stays as it is.
        """

        def wanted(known: States) -> Changes:
            prediction = self.prediction(number, known)
            if prediction.probabilities is None:
                return {}
            predicted = {
                label: label in prediction.labels for label in self.labels if label not in known
            }
            if not self.correct:
                return predicted
            answered = self.answers.answered(self.paths[number])
            return {label: now for label, now in known.items() if label not in answered} | predicted

        return self._changed(window, number, wanted, {})

    def left(self, window: str) -> View:
        """What is left to do; the window keeps its picture."""
        with self._guard:
            self._leases.keep(window)
        return {"left": self._left()}

    def leave(self, window: str) -> View:
        """Give a window's picture to others."""
        with self._guard:
            self._leases.leave(window)
        return {}

    def view(self, number: int) -> View:
        """What is known and predicted of a picture, and which label to ask first."""
        known, score = self._known(number), self.scores.of(number)
        self._summarise(number)
        name = writable(self.paths[number].name)
        seen: View = {
            "picture": number,
            "name": name,
            "states": [known.get(label) for label in self.labels],
            "error": score.error.replace(writable(str(self.paths[number])), name),
            "left": self._left(),
        }
        if score.logits is None:
            return seen
        chances, asked = self._asked(number, known, score.logits)
        answered = self.answers.answered(self.paths[number]) if self.correct else set()
        return seen | {
            "chances": [round(float(chance), 4) for chance in chances],
            "questions": asked.questions,
            "worth": asked.worth,
            "doubtful": asked.doubtful,
            "answered": [label in answered for label in self.labels],
        }

    def prediction(self, number: int, known: States | None = None) -> Prediction:
        """The prediction of a picture, given what is known of it."""
        known, score = self._known(number) if known is None else known, self.scores.of(number)
        if score.logits is None:
            return Prediction(str(number), error=score.error)
        return self.predictor.given(score.logits, known, name=str(number))

    # Behind it

    def _changed(
        self, window: str, number: int, wanted: Any, seen: Changes, *, undo: bool = False
    ) -> View:
        changed: Changed = self.answers.change(self.paths[number], wanted, seen, undo=undo)
        self._renew(changed.others)
        with self._guard:
            self._leases.hold(window, number)
        return self.view(number) | {
            "before": changed.before,
            "differing": [asdict(cell) for cell in changed.differing],
        }

    def _known(self, number: int) -> States:
        return self.answers.of(self.paths[number])

    def _asked(
        self, number: int, known: States, logits: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], Asked]:
        """The probabilities of the table's labels (L), and what to ask of the picture."""
        states = np.array([STATES[known.get(label)] for label in self.labels], np.int8)
        if self.correct:
            chances = self.predictor.judged(logits, known)[self._places]
            told = self.answers.answered(self.paths[number])
            answered = np.array([label in told for label in self.labels], np.bool_)
            return chances, to_correct(chances, states, answered)
        found = self.predictor.given(logits, known).probabilities or {}
        chances = np.array(list(found.values()), np.float32)[self._places]
        return chances, to_fill(chances, states)

    def _open(self) -> NDArray[np.bool_]:
        """The pictures (N) in which there is something to ask."""
        found: NDArray[np.bool_] = (self._blank > 0) | (self._doubtful > 0)
        return found

    def _refresh(self) -> None:
        self._renew(self.answers.refresh())

    def _renew(self, changed: set[Path]) -> None:
        """Look again at pictures that somebody else has changed."""
        for path in changed:
            if path in self._numbers:
                self._summarise(self._numbers[path])

    def _summarise(self, number: int) -> None:
        """Keep what the order of the pictures and the figures of what is left need."""
        known = self._known(number)
        useful, worth, doubtful = UNSCORED, 0, 0
        if number in self.scores:
            if (logits := self.scores.of(number).logits) is None:
                useful = UNREADABLE
            else:
                _, asked = self._asked(number, known, logits)
                useful, worth, doubtful = asked.useful, asked.worth, asked.doubtful
        with self._guard:
            self._blank[number] = len(self.labels) - len(known)
            self._useful[number], self._worth[number] = useful, worth
            self._doubtful[number] = doubtful

    def _left(self) -> dict[str, Any]:
        with self._guard:
            is_open = self._open()
            looked_at = is_open | self.correct  # to correct, the model looks at every picture
            return {
                "pictures": int(is_open.sum()),
                "cells": int(self._blank.sum()),
                "worth": int(self._worth.sum()),
                "doubtful": int(self._doubtful.sum()),
                "unscored": int((looked_at & (self._useful == UNSCORED)).sum()),
                "unreadable": int((looked_at & (self._useful == UNREADABLE)).sum()),
                "total": len(self.paths),
                "failure": self.scores.failure,
            }


def _ends_in(whole: Path, path: str) -> bool:
    """Whether a picture's path is another one, or ends in it after a slash."""
    text = writable(str(whole))
    return text == path or text.endswith(f"/{path}")
