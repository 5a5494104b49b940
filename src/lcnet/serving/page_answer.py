"""The answer that is a page: one file that may load nothing but what its own server gives."""

import secrets
from typing import Any

from fastapi import FastAPI
from starlette.responses import HTMLResponse, Response

from lcnet.reporting.html_page import render


def page_answer(template: str, **values: Any) -> HTMLResponse:
    """A page from a file of templates/; scripts run only where they have its `nonce`."""
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
        "form-action 'none'"
    )
    shown = render(template, nonce=nonce, **values)
    return HTMLResponse(shown, headers={"Content-Security-Policy": policy})


def add_icon(app: FastAPI) -> None:
    """Answer browsers, which ask for an icon by themselves."""

    @app.get("/favicon.ico", include_in_schema=False)
    async def icon() -> Response:
        return Response(status_code=204)
