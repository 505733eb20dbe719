from tests.serverless.conftest import lines

__all__ = ["lines"]
