"""The embedded server: a real mongod, found, started, shared by processes, stopped."""
