"""The command ``zepstore``: one module per noun, thin over the public API."""
