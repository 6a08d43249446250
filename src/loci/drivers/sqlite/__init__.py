"""The embedded engine: one SQLite file a cube."""

from loci.drivers.sqlite.files import SqliteFiles
from loci.drivers.sqlite.registry import SqliteRegistry
from loci.drivers.sqlite.store import SqliteStore

__all__ = ["SqliteFiles", "SqliteRegistry", "SqliteStore"]
