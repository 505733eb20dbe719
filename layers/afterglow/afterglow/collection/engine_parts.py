"""What all operations of the engine share: the stores of one deployment, and what is open in this process."""

from concurrent.futures import Executor

from afterglow.auth.api_keys import Keys
from afterglow.auth.hidden_positions import HiddenPositions
from afterglow.catalog import Catalog, collections
from afterglow.catalog.model import Collection
from afterglow.collection.changes.reader import ChangeReader
from afterglow.collection.read.read_path import ReadLimits
from afterglow.collection.read.reader import CollectionReader
from afterglow.collection.read.recall_sampling import RecallSampler
from afterglow.collection.types import (
    Scope,
    require_in_scope,
)
from afterglow.embedding.service import EmbeddingService
from afterglow.storage.ports import Stores


class EngineParts:
    """Stores, catalog, keys, open collections, embedding. Raises InvalidArgument for its settings."""

    def __init__(self, stores: Stores, background: Executor | None) -> None:
        self.catalog = Catalog(stores.table, stores.system)
        self.keys = Keys(stores.table, stores.system)
        self.hidden_positions = HiddenPositions(stores.table, stores.system)
        self._stores = stores
        self._reader = CollectionReader(stores, background)
        self._changes = ChangeReader(stores)
        self._embedding = EmbeddingService(stores.settings, stores.system)
        # Only a process with a thread of its own for checkpoints works between requests.
        self._recall = None if background is None else RecallSampler(stores.settings.recall_sample, stores.system)
        self._limits = ReadLimits(stores.settings.max_read_seconds, stores.settings.max_result_bytes)

    @property
    def stores(self) -> Stores:
        """The deployment's stores, for everything in them other than collections."""
        return self._stores

    def get_collection_by_id(self, scope: Scope) -> Collection:
        """The collection of this id if it is in the scope's tenant and database. Raises NotFound."""
        return require_in_scope(scope, collections.by_id(self._stores.table, scope.collection))

    def _known_collection(self, scope: Scope) -> Collection:
        """The collection as this process last read it, or else as it is. Raises NotFound."""
        known = self._reader.peek(scope.collection)
        if known is None or (known.tenant, known.database) != (scope.tenant, scope.database):
            return self.get_collection_by_id(scope)
        return require_in_scope(scope, known)
