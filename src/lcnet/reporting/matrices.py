"""Matrices of labels as shaded cells.

templates/charts.html draws them in a page, `graph_pictures` in a file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lcnet.metrics import Floats
from lcnet.model.graph_matrices import GraphMatrices, among
from lcnet.reporting.label_names import room_for, short

LEVELS = 12
"""Shades of a colour in a matrix."""
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Shade:
    """All cells of one shade, as the `d` of an SVG path."""

    sign: str
    """A class of the style sheet: positive or negative."""
    opacity: float
    path: str


@dataclass(frozen=True)
class Matrix:
    """A number for each pair of labels, to be drawn as a shaded cell."""

    title: str
    labels: tuple[str, ...]
    values: Floats
    """L x L; the diagonal is not drawn."""
    words: str = ""
    """A cell in words, with {row}, {column} and {0}, {1}, ... for the numbers of `said`."""
    said: tuple[NDArray[np.generic], ...] = ()
    """The numbers for `words`, L x L each; `values` in percent if there are none."""
    strongest: float | None = None
    """The number with the strongest shade; the largest if not given."""
    titles: Mapping[tuple[int, int], str] | None = None
    """Tooltips by row and column, for a page without a script; they replace `words`. A cell of the
    diagonal with a tooltip is drawn faintly."""

    @property
    def names(self) -> list[str]:
        """The labels, long ones cut."""
        return [short(label) for label in self.labels]

    @property
    def cell(self) -> int:
        """Side of a cell in pixels."""
        return max(9, min(34, 720 // len(self.labels)))

    @property
    def font(self) -> int:
        """Size of the letters in pixels."""
        return min(12, self.cell - 1)

    @property
    def side(self) -> int:
        """Side of the matrix in pixels, without its names."""
        return self.cell * len(self.labels)

    @property
    def margin(self) -> int:
        """Room for the names, left and above, in pixels."""
        return 12 + room_for(self.labels, self.font)

    @property
    def has_numbers(self) -> bool:
        """Whether cells are large enough for their number."""
        return self.cell >= 24

    @cached_property
    def _off_diagonal(self) -> Floats:
        values = np.array(self.values, dtype=np.float64)
        np.fill_diagonal(values, 0)
        return values

    @property
    def scale(self) -> float:
        """The number with the strongest shade, above 0."""
        return self.strongest or self.largest or 1.0

    @property
    def largest(self) -> float:
        """The largest absolute number off the diagonal."""
        return float(np.abs(self._off_diagonal).max(initial=0))

    @property
    def shades(self) -> list[Shade]:
        """The cells beside the diagonal, grouped by colour; those near 0 are left out."""
        scaled = self._off_diagonal / self.scale
        levels = np.ceil(np.abs(scaled) * LEVELS - 0.5) * np.sign(scaled)
        shades, edge = [], self.cell - 1
        for level in np.unique(levels[levels != 0]):
            cells = np.argwhere(levels == level) * self.cell
            path = "".join(f"M{x} {y}h{edge}v{edge}h-{edge}z" for y, x in cells)
            sign = "positive" if level > 0 else "negative"
            shades.append(Shade(sign, round(abs(level) / LEVELS, 3), path))
        return shades

    @property
    def numbers(self) -> list[tuple[int, int, str, bool]]:
        """Row, column, percent and whether the shade is dark, for cells that are not 0 percent."""
        rounded = np.round(100 * self._off_diagonal).astype(int)
        is_dark = np.abs(self._off_diagonal) > 0.6 * self.scale
        return [
            (row, column, f"{rounded[row, column]}".replace("-", MINUS), bool(is_dark[row, column]))
            for row, column in np.argwhere(rounded).tolist()
        ]

    @property
    def spoken(self) -> dict[str, object]:
        """What the page's script needs to describe a cell in words."""
        said = self.said or (np.round(100 * self.values, 1),)
        return {
            "labels": self.labels,
            "words": self.words,
            "values": [numbers.tolist() for numbers in said],
        }


def graph_matrices(
    graph: GraphMatrices, shown: Sequence[int], labels: Sequence[str]
) -> list[Matrix]:
    """The graph between the shown labels: prior, learned and, if comparable, their difference.

    Prior and learned share one scale of shades if they are comparable.
    """
    names = tuple(labels[n] for n in shown)
    takes = "{row} takes {0} % of {column}."
    prior = Matrix("Prior", names, among(graph.prior, shown), takes)
    if graph.learned is None:
        return [prior]
    learned = Matrix("Learned", names, among(graph.learned, shown), takes)
    if not graph.is_comparable:
        return [prior, learned]
    strongest = max(prior.largest, learned.largest)
    change = Matrix(
        "Learned minus prior",
        names,
        learned.values - prior.values,
        "{row} takes {0} points more of {column} than in the prior.",
    )
    return [replace(prior, strongest=strongest), replace(learned, strongest=strongest), change]
