"""What `lcnet graph` draws, for the page: drawn when somebody looks, once."""

import io
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from threading import Lock

from matplotlib.figure import Figure

from lcnet.model.classifier import Classifier
from lcnet.model.evidence import Evidence
from lcnet.model.fast import FastClassifier
from lcnet.model_folder import ModelInfo
from lcnet.predicting.predictor import Predictor
from lcnet.reporting.evidence_files import draw_evidence, edges_of
from lcnet.reporting.figures import save_figure
from lcnet.reporting.graph_files import MOST_LABELS
from lcnet.reporting.graph_pictures import draw_matrices, draw_network
from lcnet.reporting.strongest import strongest_labels

EDGES = 30
"""Edges of the network, the strongest."""

Draw = Callable[[], Figure]


def graph_figures(predictor: Predictor) -> dict[str, Callable[[], bytes]]:
    """For each figure's name what makes it, as a PNG; none for an exported file.

    They are the matrices and the network of the label graph, and what known labels say of others.
    """
    model, info = predictor.model, predictor.info
    if not isinstance(model, FastClassifier):
        return {}
    draws: dict[str, Draw] = {}
    network, evidence = model.classifier, model.classifier.evidence
    if model.explains and network.label_graph() is not None:
        draws["matrix"] = lambda: _matrices(network, info)
        draws["network"] = lambda: _network(network, info)
    if evidence is not None:
        draws["evidence"] = lambda: _known(evidence, info)
    guard = Lock()
    return {name: cache(lambda draw=draw: _png(draw, guard)) for name, draw in draws.items()}


def _png(draw: Draw, guard: Lock) -> bytes:
    stored = io.BytesIO()
    with guard:  # one at a time, whoever looks
        save_figure(draw(), stored, "png")
    return stored.getvalue()


def _matrices(network: Classifier, info: ModelInfo) -> Figure:
    graph = network.graph_matrices()
    assert graph is not None
    return draw_matrices(graph, strongest_labels(graph.final, MOST_LABELS), info.labels)


def _network(network: Classifier, info: ModelInfo) -> Figure:
    graph = network.graph_matrices()
    assert graph is not None
    return draw_network(graph, strongest_labels(graph.final, MOST_LABELS), info.labels, EDGES)


def _known(evidence: Evidence, info: ModelInfo) -> Figure:
    edges = edges_of(deepcopy(evidence).cpu())
    return draw_evidence(edges, strongest_labels(edges, MOST_LABELS), info.labels)
