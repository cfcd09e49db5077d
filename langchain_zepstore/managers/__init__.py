"""``client.memory``, ``client.message`` and ``client.user``: each method checks and runs."""
