"""``python -m langchain_zepstore``: the same as ``zepstore``."""

from langchain_zepstore.cli.__main__ import run

run()
