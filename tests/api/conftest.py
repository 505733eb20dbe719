from tests.wire.conftest import collection, face

__all__ = ["collection", "face"]
