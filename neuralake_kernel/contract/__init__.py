"""What a row must be: names, types, bounds and rules of its own, compiled once from the declaration.

The declaration is a dataframely schema; the contract is its frozen, portable form that the ingestor
judges rows by. A rule the contract cannot carry is refused at declaration time, never dropped.
"""

from neuralake_kernel.contract.check import CheckReport, check_rows
from neuralake_kernel.contract.columns import (
    IDENTITY_COLUMNS,
    Column,
    ColumnType,
    Contract,
    Rule,
    is_column_name,
    is_identity_column,
)
from neuralake_kernel.contract.compile import compile_contract
from neuralake_kernel.contract.encoding import Encoding, RowEncoding, check_row_encoding

__all__ = [
    "IDENTITY_COLUMNS",
    "CheckReport",
    "Column",
    "ColumnType",
    "Contract",
    "Encoding",
    "RowEncoding",
    "Rule",
    "check_row_encoding",
    "check_rows",
    "compile_contract",
    "is_column_name",
    "is_identity_column",
]
