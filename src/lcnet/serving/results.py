"""What the page shows, as HTML with all pictures inside."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from PIL import Image

from lcnet.model.graph_matrices import GraphMatrices
from lcnet.model_folder import ModelInfo
from lcnet.predicting.heat_pictures import draw_label
from lcnet.predicting.picture_explanation import PictureExplanation
from lcnet.predicting.prediction import Prediction
from lcnet.predicting.row_formats import CSV_COLUMNS, csv_row
from lcnet.reporting.figures import save_figure
from lcnet.reporting.graph_files import MOST_LABELS
from lcnet.reporting.graph_pictures import draw_matrices, draw_network
from lcnet.reporting.html_page import data_uri, render, small_picture
from lcnet.reporting.strongest import strongest_labels

FEWEST_BARS = 10
"""Labels shown at first, at least; a click opens the others."""
MOST_BARS = 300
"""Labels that a picture's card lists, at most, besides those that it has."""
SIDE_PX = 420
EDGES = 30


@dataclass(frozen=True)
class Bar:
    """One label's line; all numbers in percent."""

    label: str
    percent: float
    threshold: float
    is_present: bool


def bars(prediction: Prediction, info: ModelInfo) -> list[Bar]:
    """A line per label: first those above their thresholds, then the others, by probability."""
    assert prediction.probabilities is not None
    thresholds = dict(zip(info.labels, info.thresholds, strict=True))
    lines = [
        Bar(label, 100 * value, 100 * thresholds[label], label in prediction.labels)
        for label, value in prediction.probabilities.items()
    ]
    return sorted(lines, key=lambda bar: (not bar.is_present, -bar.percent))


def picture_card(
    prediction: Prediction,
    info: ModelInfo,
    explanation: PictureExplanation | None,
    picture: Image.Image,
) -> str:
    """A picture with its bars and a heat map for each label that is explained."""
    lines = bars(prediction, info)
    first = max(FEWEST_BARS, len(prediction.labels))
    heats = []
    if explanation is not None:
        heats = [
            (
                label.label,
                figure_uri(draw_label(picture, label, has_graph=explanation.has_graph)),
            )
            for label in explanation.labels
        ]
    return render(
        "serve_picture.html",
        name=prediction.image,
        picture=small_picture(picture, SIDE_PX),
        present=len(prediction.labels),
        bars=lines[:first],
        others=lines[first:MOST_BARS],
        hidden=max(0, len(lines) - max(first, MOST_BARS)),
        ruled=info.rules is not None,
        heats=heats,
        left_out=explanation.left_out if explanation else 0,
        explains=explanation is not None,
    )


def error_card(message: str) -> str:
    """Why a picture got no labels."""
    return render("serve_error.html", message=message)


def batch_card(predictions: Sequence[Prediction], info: ModelInfo) -> str:
    """How often each label was predicted, unreadable pictures, and the table to download."""
    counts = Counter(label for prediction in predictions for label in prediction.labels)
    failed = [prediction for prediction in predictions if prediction.error]
    table = csv_table(predictions, info.labels)
    return render(
        "serve_batch.html",
        total=len(predictions),
        read=len(predictions) - len(failed),
        counts=sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])),
        failed=failed,
        # Excel reads a table as UTF-8 only if it starts with this mark.
        table=data_uri(b"\xef\xbb\xbf" + table.encode(), "text/csv"),
    )


def csv_table(predictions: Sequence[Prediction], labels: Sequence[str]) -> str:
    """A row per picture: image, error, predicted labels joined by |, then each probability."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*CSV_COLUMNS, *labels])
    writer.writerows(csv_row(prediction, labels) for prediction in predictions)
    return out.getvalue()


def graph_card(graph: GraphMatrices | None, info: ModelInfo) -> str:
    """The label graph as matrices and as a network, or a note that there is none."""
    if graph is None:
        return render("serve_graph.html", figures=[], left_out=0)
    shown = strongest_labels(graph.final, MOST_LABELS)
    matrices = draw_matrices(graph, shown, info.labels)
    network = draw_network(graph, shown, info.labels, EDGES)
    return render(
        "serve_graph.html",
        figures=[figure_uri(matrices), figure_uri(network)],
        left_out=len(info.labels) - len(shown),
    )


def figure_uri(figure: Figure) -> str:
    """A figure as a PNG in a data URI."""
    stored = io.BytesIO()
    save_figure(figure, stored, "png")
    return data_uri(stored.getvalue(), "image/png")
