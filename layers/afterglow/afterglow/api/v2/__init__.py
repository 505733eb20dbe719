"""Handlers of the v2 API, one module for a resource."""
