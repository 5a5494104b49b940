"""The page: pictures dropped, labels shown; many pictures into a table; the label graph.

gradio transports files and answers; nothing else of it is used. What is shown is HTML with its
pictures inside, so no address of the server needs to serve a file. An upload stays in gradio's
folder, the caller's `GRADIO_TEMP_DIR`, until the caller deletes it.
"""

from importlib.resources import files
from pathlib import Path

import gradio as gr
from fastapi import FastAPI

from lcnet.errors import DataError
from lcnet.serving.batching import Busy
from lcnet.serving.results import batch_card, error_card, graph_card, picture_card
from lcnet.serving.service import Service
from lcnet.serving.uploads import UploadTooLarge, shown_name

MOST_LOOKED_AT = 8
"""Pictures shown with heat maps at a time, at most."""
MOST_IN_BATCH = 500
HEAT_LABELS = 5


def mount_page(app: FastAPI, service: Service) -> FastAPI:
    """The app with the page at its root."""
    page = _page(service)
    page.queue(max_size=service.limits.waiting)
    css = files("lcnet.reporting").joinpath("templates/serve.css").read_text(encoding="utf-8")
    return gr.mount_gradio_app(
        app,
        page,
        path="/",
        theme=gr.themes.Base(
            font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
        ),  # the default theme loads its fonts from another server
        css=css,
        allowed_paths=[],
        blocked_paths=["/"],
        max_file_size=service.limits.file_bytes,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        enable_monitoring=False,
        mcp_server=False,
        pwa=False,
        show_error=False,
    )


def _page(service: Service) -> gr.Blocks:
    """The three tabs and what happens in them."""
    limits = service.limits
    bounds = f"up to {limits.megabytes:g} MB and {limits.pixels / 1e6:g} million pixels each"
    info = service.predictor.info
    predictor = service.predictor
    graph = predictor.classifier.graph_matrices() if predictor.explains else None

    def look(uploads: list[str] | None) -> tuple[str, None]:
        """Bars and heat maps for a few pictures, as HTML; None empties the drop area."""
        cards = [_look(service, Path(path)) for path in (uploads or [])[:MOST_LOOKED_AT]]
        more = len(uploads or []) - len(cards)
        if more > 0:
            cards.append(
                error_card(
                    f"{more} more pictures are left out: at most {MOST_LOOKED_AT} are shown at a "
                    "time. For more, use the tab Many, as a table."
                )
            )
        return "".join(cards), None

    def label_many(uploads: list[str] | None) -> tuple[str, None]:
        """How often each label occurs in many pictures, as HTML with the table as a link."""
        paths = [Path(path) for path in uploads or []]
        if len(paths) > MOST_IN_BATCH:
            message = f"expected at most {MOST_IN_BATCH} pictures, got {len(paths)}."
            return error_card(f"{message} Drop fewer, or use lcnet predict."), None
        try:
            with service.counted():
                predictions = list(
                    service.label_all([(path, shown_name(path.name)) for path in paths])
                )
        except Busy as error:
            return error_card(str(error)), None
        return batch_card(predictions, info), None

    with gr.Blocks(
        title="lcnet",
        analytics_enabled=False,
        fill_width=True,
    ) as page:
        gr.HTML(
            f"<h1>What is in the picture?</h1><p class='lc-quiet'>{len(info.labels)} labels, "
            f"{bounds}. Uploads are deleted after a few minutes.</p>",
            elem_classes="lc-title",
        )
        with gr.Tab("Pictures"):
            dropped = _drop_area("Drop pictures here", "dropped")
            shown = gr.HTML(elem_id="shown")
            # One at a time, since explaining is the most work.
            dropped.upload(look, dropped, [shown, dropped], api_name="look", concurrency_limit=1)
        with gr.Tab("Many, as a table"):
            many = _drop_area(f"Drop up to {MOST_IN_BATCH} pictures here", "many")
            table = gr.HTML(elem_id="table")
            many.upload(label_many, many, [table, many], api_name="table", concurrency_limit=2)
        with gr.Tab("Label graph"):
            gr.HTML(graph_card(graph, info), elem_id="graph")
    return page


def _drop_area(words: str, name: str) -> gr.File:
    """Where pictures are dropped; `name` is the element's id, for style and tests."""
    return gr.File(
        label=words, file_count="multiple", file_types=["image"], height=160, elem_id=name
    )


def _look(service: Service, path: Path) -> str:
    """One picture's card."""
    name = shown_name(path.name)
    try:
        with service.counted():
            explained = service.explain(path, name, labels=HEAT_LABELS)
    except (Busy, UploadTooLarge, DataError) as error:
        return error_card(str(error))
    prediction, explanation, picture = explained
    return picture_card(prediction, service.predictor.info, explanation, picture)
