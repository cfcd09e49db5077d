"""A zepstore server, or Zep's, as what stands behind a client: the operations as requests."""
