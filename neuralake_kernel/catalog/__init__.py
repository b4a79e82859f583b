"""What the lake holds: declarations in code, facts from the Delta log, and the checker of the law.

Declaring a table (`table`) starts nothing. A `Catalog` lists what a store holds; `Snapshots` keeps opened
tables for whoever asks them; `verify_table` proves that each message is held exactly once.
"""

from neuralake_kernel.catalog.catalog import Catalog
from neuralake_kernel.catalog.committed import TopicRetention, TopicTrim, trim_topic
from neuralake_kernel.catalog.declaration import (
    DECLARATIONS,
    QUARANTINE_SUFFIX,
    Registry,
    TableDeclaration,
    declaration_of,
    signals,
    table,
)
from neuralake_kernel.catalog.entry import CatalogEntry, ColumnEntry
from neuralake_kernel.catalog.html import card as html_card
from neuralake_kernel.catalog.html import grid as html_grid
from neuralake_kernel.catalog.snapshot import Snapshots, TableStore, open_table
from neuralake_kernel.catalog.verify import verify_table
from neuralake_kernel.catalog.verify_report import Finding, FindingKind, VerifyReport

__all__ = [
    "DECLARATIONS",
    "QUARANTINE_SUFFIX",
    "Catalog",
    "CatalogEntry",
    "ColumnEntry",
    "Finding",
    "FindingKind",
    "Registry",
    "Snapshots",
    "TableDeclaration",
    "TableStore",
    "TopicRetention",
    "TopicTrim",
    "VerifyReport",
    "declaration_of",
    "html_card",
    "html_grid",
    "open_table",
    "signals",
    "table",
    "trim_topic",
    "verify_table",
]
