"""Spelling out ``*`` over stored tables, so that identity columns are seen only by who names them.

Only the stars are replaced in the text; everything else stays as the caller wrote it. What no list of
columns can say is refused with the way around it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from neuralake_kernel.contract import is_identity_column
from neuralake_kernel.errors import QueryError

if TYPE_CHECKING:
    from sqlglot import exp

__all__ = ["expand_stars"]


class _Source(NamedTuple):
    """One source of a SELECT; ``columns`` is ``None`` for a subquery, whose star is spelt inside."""

    alias: str
    prefix: str
    columns: Sequence[str] | None
    using: tuple[str, ...]


def expand_stars(text: str, scopes: Sequence[Any], columns: Mapping[int, Sequence[str]], *, dialect: str) -> str:
    """Replace each star that covers a stored table by the table's declared columns.

    Parameters
    ----------
    text
        The statement the scopes were parsed from.
    scopes
        Its scopes, as sqlglot gives them.
    columns
        Stored columns by ``id`` of the table node.
    dialect
        The dialect of the text.

    Returns
    -------
    str
        The text with its stars spelt out.

    Raises
    ------
    QueryError
        ``sql-star``: the star stands where it cannot be spelt out.
    """
    from sqlglot import exp

    cuts: dict[tuple[int, int], str] = {}
    for scope in scopes:
        if not isinstance(scope.expression, exp.Select):
            continue
        stars = [node for node in scope.expression.expressions if _star_of(node) is not None]
        stored = any(id(source) in columns for _, source in scope.selected_sources.values())
        if not stars or not stored:
            continue
        sources = list(_sources(scope, columns, dialect))
        for node in stars:
            span = _span(node, text, dialect)
            cuts[span] = _spelt_out(node, sources, dialect)
    for (start, end), spelt in sorted(cuts.items(), reverse=True):
        text = text[:start] + spelt + text[end:]
    return text


def _star_of(node: "exp.Expression") -> "exp.Star | None":
    from sqlglot import exp

    star = node.this if isinstance(node, exp.Column) else node
    return star if isinstance(star, exp.Star) else None


def _sources(scope: Any, columns: Mapping[int, Sequence[str]], dialect: str) -> Iterator[_Source]:  # noqa: ANN401  (sqlglot's Scope)
    from sqlglot import exp

    joins = scope.expression.args.get("joins") or ()
    if any(join.kind in {"SEMI", "ANTI"} and join.side == "RIGHT" for join in joins):
        raise _refused("over a RIGHT SEMI or ANTI JOIN", "name the columns")
    # What a SEMI or ANTI JOIN reads is no selected source, and no column of it is covered.
    for alias, (selected, source) in scope.selected_sources.items():
        # A derived table is selected by the query inside it; its name and join are its parent's.
        node = selected.parent if isinstance(selected.parent, exp.Subquery) else selected
        node = selected if isinstance(selected, exp.Table) else node
        join = node.parent if isinstance(node.parent, exp.Join) else None
        if join is not None and join.method == "NATURAL":
            raise _refused("over a NATURAL JOIN", "join USING (…) the keys you mean")
        using = tuple(key.name for key in join.args.get("using") or ()) if join is not None else ()
        yield _Source(
            alias=alias,
            prefix=_prefix(node, dialect),
            columns=columns.get(id(source)) if isinstance(source, exp.Table) else None,
            using=using,
        )


def _prefix(node: "exp.Expression", dialect: str) -> str:
    """How the source is called in this SELECT, quoted as the caller did; empty without a name."""
    alias = node.args.get("alias")
    named = alias.this if alias is not None else node.this
    if named is None or not named.args.get("this") or not hasattr(named, "quoted"):
        return ""
    shown: str = named.sql(dialect=dialect)
    return shown


def _spelt_out(node: "exp.Expression", sources: Sequence[_Source], dialect: str) -> str:
    from sqlglot import exp

    star = _star_of(node)
    given = {} if star is None else star.args
    if any(given.get(name) for name in ("replace", "rename", "ilike")):
        raise _refused("with REPLACE, RENAME or ILIKE", "name the columns")
    left_out = {column.name.lower() for column in given.get("except_") or ()}
    wanted = node.table if isinstance(node, exp.Column) else None
    covered = [source for source in sources if wanted is None or _is_named(source, wanted)]
    merged = {key for source in sources for key in source.using} if wanted is None else set()
    listed: list[str] = []
    seen: set[str] = set()
    for source in covered:
        if source.columns is None:
            if left_out or merged:
                raise _refused("over a subquery joined USING, or with EXCEPT", "name the columns")
            if not source.prefix:
                raise _refused("over a subquery without a name", "give it one with AS")
            listed.append(f"{source.prefix}.*")
            continue
        for column in source.columns:
            if is_identity_column(column) or column.lower() in left_out or column in seen:
                continue
            quoted = exp.to_identifier(column, quoted=True).sql(dialect=dialect)
            if column in merged:
                seen.add(column)
                listed.append(quoted)
            else:
                listed.append(f"{source.prefix}.{quoted}")
    if not listed:
        raise _refused("that covers no column", "name a column")
    return ", ".join(listed)


def _is_named(source: _Source, wanted: str) -> bool:
    return source.alias.lower() == wanted.lower()


def _span(node: "exp.Expression", text: str, dialect: str) -> tuple[int, int]:
    """Where the star stands in the text, its qualifier and its EXCEPT clause included."""
    import sqlglot
    from sqlglot import exp

    star = _star_of(node)
    if star is None or "start" not in star.meta:
        raise _refused("that is not written", "write SELECT … FROM … in full")
    start = star.meta["start"]
    if isinstance(node, exp.Column):
        start = min(part.meta["start"] for part in node.parts[:-1])
    end = star.meta["end"] + 1
    listed = [column.find(exp.Identifier) for column in star.args.get("except_") or ()]
    if listed:
        end = max(name.meta["end"] for name in listed if name is not None) + 1
        after = next((t for t in sqlglot.tokenize(text, dialect=dialect) if t.start >= end), None)
        if after is not None and after.text == ")":
            end = after.end + 1
    return start, end


def _refused(where: str, hint: str) -> QueryError:
    return QueryError(
        f"Cannot spell out a star {where}.",
        code="sql-star",
        hint=f"{hint}; a star leaves out the columns that begin with '_'.",
    )
