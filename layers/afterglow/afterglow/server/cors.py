"""Cross-origin requests (CORS): lets pages of the configured origins call the API from a browser.

The middleware encloses authentication, because a browser sends a preflight request without credentials. A listed origin
may use credentials that the browser stores, such as a Basic password; with `*` only pages that send a token themselves
have access, or any page could use a visitor's password.
"""

from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware

from afterglow.settings import ANY_ORIGIN, Settings

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
EXPOSED_HEADERS = (
    "afterglow-log-position",
    "afterglow-next-position",
    "afterglow-oldest-position",
    "afterglow-usage",
    "chroma-trace-id",
    "retry-after",
)
"""Response headers that scripts may read besides those that browsers always expose."""


def add_cors(app: Starlette, settings: Settings) -> None:
    """Add the middleware if the settings allow an origin."""
    origins = settings.cors_origins()
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=["*"],
            allow_credentials=ANY_ORIGIN not in origins,
            expose_headers=EXPOSED_HEADERS,
        )
