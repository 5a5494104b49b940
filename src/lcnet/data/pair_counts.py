"""Counts of pairs of labels, kept sparse: of thousands of labels most pairs are never seen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from lcnet.data.dataset import POSITIVE, UNKNOWN

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PairCounts:
    """How often each two labels are known and present together."""

    together: csr_array
    """M_ij: pictures in which labels i and j are both present; the diagonal is `positives`."""
    unlike: csr_array
    """K_ij, or what it lacks of the pictures with label i, whichever has fewer entries."""
    is_rest: bool
    """Whether `unlike` is what K_ij lacks."""

    @property
    def cooccurrence(self) -> Counts:
        """M_ij (L L): pictures in which labels i and j are both present."""
        return np.asarray(self.together.toarray(), np.int64)

    @property
    def known_with(self) -> Counts:
        """K_ij (L L): pictures in which label i is present and label j is known."""
        counts = np.asarray(self.unlike.toarray(), np.int64)
        return self.together.diagonal()[:, None] - counts if self.is_rest else counts

    def rows(self, rows: slice) -> tuple[Counts, Counts, Counts]:
        """Some rows of M_ij, of K_ij, and of K_ji: R L each."""
        positives = self.together.diagonal()
        known, turned = (
            np.asarray(part.toarray(), np.int64)
            for part in (self.unlike[rows], self.unlike[:, rows].T)
        )
        if self.is_rest:
            known, turned = positives[rows, None] - known, positives[None] - turned
        return np.asarray(self.together[rows].toarray(), np.int64), known, turned

    def among(self, labels: list[int]) -> tuple[Counts, Counts]:
        """M_ij and K_ij between some labels: K K each."""
        together, known = (
            np.asarray(part[labels][:, labels].toarray(), np.int64)
            for part in (self.together, self.unlike)
        )
        if self.is_rest:
            known = self.together.diagonal()[labels][:, None] - known
        return together, known

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """The counts as plain arrays by name, for a file."""
        arrays: dict[str, NDArray[np.generic]] = {"is_rest": np.array([self.is_rest], np.uint8)}
        for name, matrix in (("together", self.together), ("unlike", self.unlike)):
            arrays |= {
                f"{name}.counts": matrix.data.astype(np.int32),
                f"{name}.columns": matrix.indices.astype(np.int32),
                f"{name}.starts": matrix.indptr.astype(np.int64),
            }
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "PairCounts":
        """The counts that `to_arrays` gave. Raises ValueError or KeyError for anything else."""
        labels = len(arrays["together.starts"]) - 1
        together, unlike = (_matrix(arrays, name, labels) for name in ("together", "unlike"))
        return cls(together, unlike, bool(arrays["is_rest"][0]))

    @classmethod
    def from_tables(cls, together: NDArray[Any], known_with: NDArray[Any]) -> "PairCounts":
        """The counts of two whole tables, L L each. Raises ValueError if they are not square."""
        labels = len(together)
        if together.shape != (labels, labels) or known_with.shape != (labels, labels):
            raise ValueError(f"pairs: expected counts of {labels} labels throughout")
        rest = together.diagonal()[:, None] - known_with
        return cls(csr_array(together), csr_array(rest), is_rest=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PairCounts) and (
            np.array_equal(self.cooccurrence, other.cooccurrence)
            and np.array_equal(self.known_with, other.known_with)
        )

    def __hash__(self) -> int:
        return hash((self.together.shape, self.together.data.sum()))


def count_pairs(targets: np.ndarray) -> PairCounts:
    """The counts of `targets`, of shape (images, labels) with 1 present, 0 absent, -1 unknown."""
    present = csr_array(targets == POSITIVE, dtype=np.int64)
    is_unknown = targets == UNKNOWN
    is_rest = 2 * int(is_unknown.sum()) <= is_unknown.size
    unlike = csr_array(is_unknown if is_rest else ~is_unknown, dtype=np.int64)
    rows = present.T.tocsr()
    return PairCounts(_whole(rows @ present), _whole(rows @ unlike), is_rest)


def no_pairs(labels: int) -> PairCounts:
    """The counts of no picture."""
    nothing = csr_array((labels, labels), dtype=np.int64)
    return PairCounts(nothing, nothing, is_rest=False)


def _whole(product: csr_array) -> csr_array:
    product = csr_array(product)
    product.sum_duplicates()
    return product


def _matrix(arrays: Mapping[str, NDArray[Any]], name: str, labels: int) -> csr_array:
    parts = (arrays[f"{name}.{part}"] for part in ("counts", "columns", "starts"))
    matrix = csr_array(tuple(part.astype(np.int64) for part in parts), shape=(labels, labels))
    matrix.check_format(full_check=True)
    if (matrix.data < 0).any():
        raise ValueError(f"pairs.{name}: expected counts of 0 or more")
    return matrix
