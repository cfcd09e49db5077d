"""The ground: operations, the store's contract, argument objects, validation."""
