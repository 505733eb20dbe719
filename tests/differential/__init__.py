"""The same random scenario against this server and against `chromadb.EphemeralClient`: equal responses."""
