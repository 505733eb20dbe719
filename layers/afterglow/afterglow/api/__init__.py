"""The Chroma wire: routes, models, errors → status, OpenAPI; the ASGI app."""
