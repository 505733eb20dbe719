"""The routes of collections: of their forks, of a database's collections, and of those found otherwise."""

from afterglow.access import Need
from afterglow.api import answers, collections, forks, models, moments
from afterglow.api.params import PAGE
from afterglow.api.route import Route
from afterglow.api.routes.paths import API, COLLECTION, COLLECTIONS, DATABASE

FORKS: tuple[Route, ...] = (
    Route(
        "POST",
        COLLECTION + "/fork",
        forks.fork,
        "Collections",
        "Make a collection that begins as this one is, or was",
        models.ForkCollection,
        answers.Collection,
        failures=(400, 404, 409, 507),
        query=(moments.QUERY,),
        need=Need.WRITE,
    ),
    Route(
        "GET",
        COLLECTION + "/fork_count",
        forks.fork_count,
        "Collections",
        "How many forks there are of a collection and its relatives",
        response=answers.ForkCount,
        failures=(400, 404),
        need=Need.READ,
    ),
)

ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        COLLECTIONS + "/by-id/{collection_id}",
        collections.get_by_id,
        "Collections",
        "A collection by id",
        response=answers.Collection,
        failures=(400, 404),
        need=Need.READ,
    ),
    Route(
        "GET",
        COLLECTION,
        collections.get,
        "Collections",
        "A collection by name",
        response=answers.Collection,
        failures=(400, 404),
        need=Need.READ,
    ),
    Route(
        "PUT",
        COLLECTION,
        collections.update,
        "Collections",
        "Rename a collection (by id), replace its metadata, reconfigure it",
        models.UpdateCollection,
        answers.Nothing,
        failures=(400, 404, 409, 507),
        need=Need.WRITE,
    ),
    Route(
        "DELETE",
        COLLECTION,
        collections.delete,
        "Collections",
        "Drop a collection by name",
        response=answers.Nothing,
        failures=(400, 404, 507),
        need=Need.WRITE,
    ),
    Route(
        "GET",
        COLLECTIONS,
        collections.list_all,
        "Collections",
        "A database's collections, by id",
        response=list[answers.Collection],
        failures=(400,),
        query=PAGE,
        need=Need.READ,
    ),
    Route(
        "POST",
        COLLECTIONS,
        collections.create,
        "Collections",
        "Make a collection",
        models.CreateCollection,
        answers.Collection,
        failures=(400, 409, 507),
        need=Need.WRITE,
    ),
)

COUNTED_OR_NAMED: tuple[Route, ...] = (
    Route(
        "GET",
        DATABASE + "/collections_count",
        collections.count,
        "Collections",
        "How many collections a database has",
        response=int,
        failures=(400,),
        need=Need.READ,
    ),
    Route(
        "GET",
        API + "/collections/{crn}",
        collections.get_by_crn,
        "Collections",
        "A collection by resource name: tenant:database:collection",
        response=answers.Collection,
        failures=(400, 404),
        need=Need.READ,
        place=None,
    ),
)
