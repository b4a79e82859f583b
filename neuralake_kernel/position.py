"""How a partition of a table's topics is named: by its number, and with its topic where there are several."""

from collections.abc import Collection, Iterable, Mapping

__all__ = ["PartitionName", "partition_name", "positions_by_topic"]

#: ``3``, or ``left.raw/3`` where a table reads several topics. No topic's name holds a slash.
PartitionName = int | str


def partition_name(topic: str, partition: int, topics: Collection[str]) -> PartitionName:
    """Name a partition of one of a table's topics.

    Parameters
    ----------
    topic, partition
        Which.
    topics
        All topics of the table.

    Examples
    --------
    >>> partition_name("a", 3, ["a"]), partition_name("a", 3, ["a", "b"])
    (3, 'a/3')
    """
    return partition if len(topics) == 1 else f"{topic}/{partition}"


def positions_by_topic(positions: Mapping[PartitionName, int], topics: Iterable[str]) -> dict[str, dict[int, int]]:
    """Give the positions of each topic by partition; every topic of the table is named.

    Examples
    --------
    >>> positions_by_topic({"a/0": 5, "b/0": 3, "b/1": 4}, ["a", "b", "c"])
    {'a': {0: 5}, 'b': {0: 3, 1: 4}, 'c': {}}
    >>> positions_by_topic({0: 5}, ["a"])
    {'a': {0: 5}}
    """
    found: dict[str, dict[int, int]] = {topic: {} for topic in topics}
    for name, position in positions.items():
        if isinstance(name, int):
            only = next(iter(found))
            found[only][name] = position
        else:
            topic, _, number = name.partition("/")
            found.setdefault(topic, {})[int(number)] = position
    return found
