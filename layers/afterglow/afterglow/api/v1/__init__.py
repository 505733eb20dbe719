"""The API of Chroma before 1.0, under `/api/v1`, over the same handlers as v2.

Tenant and database are parameters of the query, records are reached by the collection's id alone, `{}` is no filter.
Each route here makes the v2 call of its request (`calls`), runs the v2 handler, and words the answer as v1 did.
"""
