"""Import of the lines of ``client.export``, and migration from other stores."""

from langchain_zepstore.migration.conversation import Conversation, Reader, Unreadable
from langchain_zepstore.migration.lines import LineError, Report, aimport_lines, import_lines
from langchain_zepstore.migration.migrate import MigrationReport, migrate

__all__ = [
    "Conversation",
    "LineError",
    "MigrationReport",
    "Reader",
    "Report",
    "Unreadable",
    "aimport_lines",
    "import_lines",
    "migrate",
]
