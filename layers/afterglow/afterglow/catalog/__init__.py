"""Tenants, databases, collections: who is called what, and what each collection is like.

Items of the table::

    pk               sk                     value
    TENANTS          <tenant>               {}
    TENANT#<tenant>  DB#<database>          {"id", "home"}
    DB#<home>        NAME#<collection>      {"id"}
    C#<id>           STATE                  the collection: names, schema, dimension, checkpoint
    C#<id>           LOG#<20 digits>        the log (see `afterglow.log`)
    DROPPED          C#<id> or DB#<home>    what is left to clean up
"""

from afterglow.catalog.model import Collection, Database
from afterglow.catalog.tenants import Catalog

__all__ = ["Catalog", "Collection", "Database"]
