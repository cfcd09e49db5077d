"""Import of what ``client.export`` returned."""

from langchain_zepstore.migration.lines import LineError, Report, aimport_lines, import_lines

__all__ = ["LineError", "Report", "aimport_lines", "import_lines"]
