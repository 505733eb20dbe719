"""Tenants, databases and collections: their names, and the state of each collection.

Items of the table::

    pk               sk                     value
    TENANTS          <tenant>               {}
    TENANT#<tenant>  DB#<database>          {"id", "home": namespace id}
    DB#<namespace>   NAME#<collection>      {"id"}
    C#<id>           STATE                  the collection: names, schema, dimension, checkpoint
    C#<id>           #REEMBED               a copy that is embedded anew (`bulk.reembed`)
    C#<id>           LOG#<20 digits>        the log (see `afterglow.log`)
    LINEAGE#<id>     MEMBER#<id>            a fork or its ancestor (`catalog.lineage`)
    DELETIONS        C#<id>                 a dropped collection to be purged (`catalog.deletions`)
    DELETIONS        DB#<namespace>         a deleted database whose collections are to be dropped
"""

from afterglow.catalog.model import Collection, Database
from afterglow.catalog.tenants import Catalog

__all__ = ["Catalog", "Collection", "Database"]
