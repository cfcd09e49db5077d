"""``python -m langchain_zepstore``: the same as ``zepstore``."""

from langchain_zepstore.cli.main import run

run()
