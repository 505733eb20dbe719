"""The API of Chroma before 1.0, under `/api/v1`, over the handlers of v2.

Tenant and database are query parameters, a collection id alone identifies a collection's records, and an empty filter
`{}` means none. Each handler translates its request to v2 (`translate`), runs the v2 handler, and converts the response
and the errors to v1's form.
"""
