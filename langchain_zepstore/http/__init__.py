"""The backend over HTTP, a zepstore server or Zep's: the operations as requests."""
