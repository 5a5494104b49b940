"""Pages of more labels than anyone reads: those that matter, and how many are left out."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from tests.reports import made_report

from lcnet.data.statistics import count_labels
from lcnet.evaluating import metrics_table
from lcnet.evaluating.metrics_table import print_metrics
from lcnet.model.graph_matrices import among
from lcnet.reporting import report_charts, report_page
from lcnet.reporting.report_charts import company_charts
from lcnet.reporting.report_page import write_report
from lcnet.reporting.strongest import strongest_edges, strongest_labels

LABELS = tuple(f"label {number}" for number in range(9))


def test_a_report_of_many_labels_lists_the_commonest_and_says_so(monkeypatch, tmp_path):
    report = made_report(tmp_path, LABELS)
    write_report(tmp_path / "all.html", report)
    monkeypatch.setattr(report_page, "LISTED", 4)
    monkeypatch.setattr(report_charts, "COMPARED", 5)
    monkeypatch.setattr(report_charts, "MATRIX_LABELS", 3)
    write_report(tmp_path / "few.html", report)
    whole, few = (tmp_path / name for name in ("all.html", "few.html"))
    assert "labels of val.csv are listed" not in whole.read_text()
    text = few.read_text()
    assert "Only the 4 commonest labels of val.csv are listed, of 9." in text
    assert "Only the 5 commonest labels are compared." in text
    rows = report_page._rows(report, ())
    assert [row["label"] for row in rows] == [LABELS[label] for label in report.commonest(4)]
    assert len(report_page._shares(report)["rows"]) == 4


def test_pairs_of_the_compared_labels_are_those_of_all_labels(monkeypatch, tmp_path):
    report = made_report(tmp_path, LABELS)
    every = company_charts(report)
    monkeypatch.setattr(report_charts, "COMPARED", 6)
    monkeypatch.setattr(report_charts, "MATRIX_LABELS", 3)
    few = company_charts(report)
    assert few["labels"] == [LABELS[label] for label in report.commonest(6)]
    named = {
        (every["labels"][pair.given], every["labels"][pair.label]): pair[2:]
        for pair in [*every["often"], *every["seldom"]]
    }
    for pair in [*few["often"], *few["seldom"]]:
        names = few["labels"][pair.given], few["labels"][pair.label]
        assert named.get(names, pair[2:]) == pair[2:]
    assert few["matrix"].labels == tuple(LABELS[label] for label in report.commonest(3))


def test_the_terminal_lists_the_lowest_of_many_labels(monkeypatch, tmp_path, capsys):
    measured = made_report(tmp_path, LABELS).measured
    monkeypatch.setattr(metrics_table, "LISTED", 2)
    print_metrics(measured, {})
    shown = capsys.readouterr().out
    assert "The 2 lowest AP, of 8 labels that have one (all are in the JSON file" in shown
    lowest = sorted(
        (ap, label) for label, ap in zip(LABELS, measured.verification.ap, strict=True) if ap
    )[:2]
    assert all(label in shown for _, label in lowest)
    assert sum(label in shown.split("lowest AP")[1] for label in LABELS) == 2


def test_edges_of_a_sparse_graph_are_those_of_the_whole_one():
    rng = np.random.default_rng(0)
    whole = rng.normal(size=(12, 12)) * (rng.random((12, 12)) < 0.3)
    sparse = csr_array(whole)
    edges = strongest_edges(sparse)
    assert edges == [edge for edge in strongest_edges(whole) if whole[edge]]
    assert strongest_edges(whole, 5) == edges[:5]
    assert strongest_labels(sparse, 5) == strongest_labels(whole, 5)
    assert np.array_equal(among(sparse, [7, 2, 3]), whole[np.ix_([7, 2, 3], [7, 2, 3])])


@pytest.mark.parametrize("unknown", [0.1, 0.8])
def test_probabilities_among_some_labels_are_those_of_the_whole_matrix(unknown):
    targets = np.random.default_rng(0).choice(
        [1, 0, -1], size=(50, 9), p=[0.4 * (1 - unknown), 0.6 * (1 - unknown), unknown]
    )
    known, some = count_labels(targets), [5, 0, 7]
    inside = np.ix_(some, some)
    assert known.conditional_among(some).tolist() == (
        known.conditional_probability(smoothing=0)[inside].tolist()
    )
    together, pictures = known.pairs.among(some)
    assert together.tolist() == known.pairs.cooccurrence[inside].tolist()
    assert pictures.tolist() == known.pairs.known_with[inside].tolist()
