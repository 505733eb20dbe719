"""The same random programme against this server and against `chromadb.EphemeralClient`: equal answers."""
