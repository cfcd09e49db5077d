"""A real mongod for programs that have none: found, started, shared by processes, stopped."""
