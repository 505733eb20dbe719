from tests.wire.conftest import api_client, collection

__all__ = ["api_client", "collection"]
