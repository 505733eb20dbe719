"""The paths that the route tables share."""

API = "/api/v2"
DATABASES = API + "/tenants/{tenant}/databases"
DATABASE = DATABASES + "/{database}"
COLLECTIONS = DATABASE + "/collections"
COLLECTION = COLLECTIONS + "/{collection_id}"
