"""Cross-origin requests (CORS): lets pages of the configured origins call the API from a browser.

The middleware encloses authentication, because a browser sends a preflight request without credentials. A listed origin
may use credentials that the browser stores, such as a Basic password; with `*` only pages that send a token themselves
have access, or any page could use a visitor's password.
"""

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

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


def with_cors(app: ASGIApp, settings: Settings) -> ASGIApp:
    """The application inside the middleware if the settings allow an origin, else itself."""
    origins = settings.cors_origins()
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=METHODS,
        allow_headers=["*"],
        allow_credentials=ANY_ORIGIN not in origins,
        expose_headers=EXPOSED_HEADERS,
    )
