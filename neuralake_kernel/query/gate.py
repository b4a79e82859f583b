"""The gate before SQL: one SELECT over tables of the catalog, and nothing that could act or read elsewhere.

The engines run whatever they are given, `COPY` to a file included. So a statement is parsed by a library
that is not the engine, every source it names is checked, and only then the caller's own text is passed on,
changed in one way alone: a star over a stored table is spelt out without the identity columns. The engine
plans the text once more in a place where only a query can stand (`as_probe`), so a text that the two
parsers read differently does not pass either.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from neuralake_kernel.errors import QueryError
from neuralake_kernel.query.star import expand_stars

if TYPE_CHECKING:
    from sqlglot import exp

__all__ = ["AdmittedSql", "admit"]

Engine = Literal["hot", "cold"]

# DataFusion's grammar and case folding are PostgreSQL's; sqlglot has no dialect of its own for it.
_DIALECT: Final[dict[Engine, str]] = {"hot": "postgres", "cold": "spark"}

_OPENING: Final = frozenset({"SELECT", "WITH", "("})

# These call Java by name or run programs inside an expression.
_ACTING_FUNCTIONS: Final = frozenset({"reflect", "java_method", "try_reflect", "try_java_method"})


@dataclass(frozen=True, slots=True)
class AdmittedSql:
    """A statement that passed, and the tables it reads."""

    text: str
    tables: tuple[str, ...]

    @property
    def as_probe(self) -> str:
        """A statement that an engine can plan only if it, too, takes the text for one query."""
        return f"SELECT 1 AS admitted WHERE EXISTS (\n{self.text}\n)"


def admit(sql: str, *, columns_of: Callable[[str], Sequence[str]], engine: Engine = "hot") -> AdmittedSql:
    """Admit one SELECT, or say why not.

    Parameters
    ----------
    sql
        What the caller wrote; one trailing semicolon is allowed.
    columns_of
        Gives the stored columns of a table by name; raises for a name it does not know.
    engine
        Whose SQL it is: ``hot`` DataFusion's, ``cold`` Spark's.

    Returns
    -------
    AdmittedSql
        The text to run, and the tables it names.

    Raises
    ------
    QueryError
        ``sql-not-a-select``, ``sql-unparsed``, ``sql-source`` or ``sql-star``.
    CatalogError
        A table is unknown (raised by ``columns_of``).
    """
    import sqlglot
    from sqlglot import errors, exp
    from sqlglot.optimizer.scope import traverse_scope

    dialect = _DIALECT[engine]
    try:
        text = _single_statement(sql, dialect)
        parsed = sqlglot.parse(text, dialect=dialect)
        if len(parsed) != 1 or not isinstance(parsed[0], exp.Query):
            raise _not_a_select("it is no query")
        root = parsed[0]
        _refuse_actions(root)
        scopes = traverse_scope(root)
    except errors.SqlglotError as error:
        raise QueryError(
            f"Cannot read the SQL: {_plain(error)}",
            code="sql-unparsed",
            hint=f"the gate reads {'Spark' if engine == 'cold' else 'PostgreSQL-like'} SQL.",
        ) from error
    columns: dict[int, Sequence[str]] = {}
    names: dict[str, None] = {}
    for node in _stored_sources(root, scopes):
        name = _table_name(node)
        columns[id(node)] = columns_of(name)
        names[name] = None
    return AdmittedSql(expand_stars(text, scopes, columns, dialect=dialect), tuple(names))


def _single_statement(sql: str, dialect: str) -> str:
    """The text without a trailing semicolon; it must open like a query and hold no other."""
    import sqlglot

    tokens = sqlglot.tokenize(sql, dialect=dialect)
    end = len(sql)
    while tokens and tokens[-1].token_type.name == "SEMICOLON":
        end = tokens.pop().start
    if not tokens:
        raise _not_a_select("there is none")
    if any(token.token_type.name == "SEMICOLON" for token in tokens):
        raise _not_a_select("there are several statements")
    opening = next((token for token in tokens if token.text != "("), tokens[0])
    if opening.text.upper() not in _OPENING:
        raise _not_a_select(f"it begins with {opening.text.upper()}")
    return sql[:end]


def _refuse_actions(root: "exp.Query") -> None:
    from sqlglot import exp

    acting = (exp.DDL, exp.DML, exp.Command, exp.Copy, exp.Into, exp.Lock, exp.QueryTransform)
    for node in root.walk():
        # A query is a DDL to sqlglot, because CREATE may take one; only the others act.
        if isinstance(node, acting) and not isinstance(node, exp.Query):
            raise _not_a_select(f"it holds {type(node).__name__.upper()}")
        if isinstance(node, exp.Func):
            name = node.name if isinstance(node, exp.Anonymous) else node.sql_name()
            if name.lower() in _ACTING_FUNCTIONS:
                raise _not_a_select(f"it calls {name}")


def _stored_sources(root: "exp.Query", scopes: Sequence[Any]) -> "list[exp.Table]":
    """Every table that is no CTE; refuses a table that the scopes do not place."""
    from sqlglot import exp

    _refuse_functions(root)
    placed: set[int] = set()
    stored: dict[int, exp.Table] = {}
    for scope in scopes:
        # Not `selected_sources`: that one leaves out what a SEMI JOIN reads.
        placed.update(id(node) for node in scope.tables if node.alias_or_name in scope.sources)
        for source in scope.sources.values():
            if isinstance(source, exp.Table):
                stored[id(source)] = source
                placed.add(id(source))
    for node in root.find_all(exp.Table):
        if id(node) not in placed:
            raise _source_refused(node.sql(), "of no place the gate knows")
        if node.args.get("version") or node.args.get("when"):
            raise _source_refused(node.sql(), "pinned inside the SQL", "pass version=… instead")
        if node.args.get("pivots") and id(node) in stored:
            raise _source_refused(node.sql(), "pivoted", "select its columns in a subquery first")
    return list(stored.values())


def _refuse_functions(root: "exp.Query") -> None:
    """Refuse sources that are neither tables nor queries: a function may read any file."""
    from sqlglot import exp

    allowed = (exp.Table, exp.Subquery, exp.Unnest, exp.Lateral, exp.Values, exp.Paren)
    for source in root.find_all(exp.From, exp.Join):
        if not isinstance(source.this, allowed):
            raise _source_refused(source.this.sql(), "no table")
    for table in root.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier):
            raise _source_refused(table.this.sql() if table.this else "a function", "a table function")
    for lateral in root.find_all(exp.Lateral):
        if not isinstance(lateral.this, (exp.Subquery, exp.Explode, exp.Unnest, exp.Inline)):
            raise _source_refused(lateral.this.sql(), "a table function")


def _table_name(node: "exp.Table") -> str:
    if node.args.get("db") or node.args.get("catalog"):
        raise _source_refused(node.sql(), "outside the catalog", "name tables as lab.catalog does")
    # Unquoted names fold to lower case in both engines; catalog names are lower case.
    name: str = node.name
    return name if node.this.args.get("quoted") else name.lower()


def _not_a_select(found: str) -> QueryError:
    return QueryError(
        f"Cannot run the SQL: expected one SELECT, found that {found}.",
        code="sql-not-a-select",
        hint="ask one SELECT (or WITH … SELECT) at a time; tables are written by ingest alone.",
    )


def _source_refused(shown: str, why: str, hint: str = "") -> QueryError:
    return QueryError(
        f"Cannot read from {shown}: it is {why}.",
        code="sql-source",
        hint=hint or "read tables of lab.catalog, subqueries and CTEs.",
        context={"source": shown},
    )


def _plain(error: Exception) -> str:
    """Keep of the parser's report what and where, without its terminal colours."""
    found = getattr(error, "errors", None)
    if found:
        first = found[0]
        return f"{first['description']} at line {first['line']}, column {first['col']}"
    return str(error).splitlines()[0]
