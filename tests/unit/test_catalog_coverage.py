"""Runs of offsets, as commits with positions and jumps leave them."""

import polars as pl

from neuralake_kernel.catalog.coverage import Coverage, Jump, Run

OLD, NEW = "t@old", "t@new"


def jump(start: int, stop: int, cause: str, *, partition: int = 0, source: str = OLD) -> Jump:
    return Jump(1, "t", partition, start, stop, cause, source)


def covered(*positions: tuple[int, int]) -> Coverage:
    found = Coverage()
    for partition, position in positions:
        found.advance(("t", partition), position)
    return found


def left_out(found: Coverage, source: str, offsets: range) -> list[int]:
    rows = pl.DataFrame({"source": source, "partition": 0, "offset": offsets})
    placed = rows.with_columns(run=found.source_of("source"))
    return placed.filter(found.is_left_out())["offset"].to_list()


def test_a_run_grows_with_its_position() -> None:
    found = covered((0, 5), (0, 20))
    assert found.runs == [Run("t", "t", 0, 5, 20)]
    assert found.frame().rows() == [("t", "t", 0, 5, 20)]
    assert left_out(found, OLD, range(30)) == []


def test_deleted_offsets_between_two_runs_are_left_out() -> None:
    found = covered((0, 0), (0, 20))
    found.jump([jump(20, 30, "position-deleted")])
    found.advance(("t", 0), 40)
    found.jump([jump(40, 45, "position-deleted")])
    found.advance(("t", 0), 50)
    assert found.runs == [Run("t", "t", 0, 0, 20), Run("t", "t", 0, 30, 40), Run("t", "t", 0, 45, 50)]
    assert left_out(found, OLD, range(60)) == [*range(20, 30), *range(40, 45)]
    assert found.first == {("t", 0): 0}


def test_a_topic_made_anew_is_another_source_for_all_partitions() -> None:
    found = covered((0, 0), (1, 0), (0, 10), (1, 7))
    found.jump([jump(10, 0, "source-replaced", source=NEW), jump(7, 3, "source-replaced", partition=1, source=NEW)])
    found.advance(("t", 0), 4)
    assert found.runs == [
        Run("t", "t", 0, 0, 10),
        Run("t", "t", 1, 0, 7),
        Run("t", NEW, 0, 0, 4),
        Run("t", NEW, 1, 3, 3),
    ]
    assert found.first == {("t", 0): 0, ("t", 1): 3}


def test_a_cut_partition_renames_the_others_where_they_stand() -> None:
    found = covered((0, 0), (1, 0), (0, 10), (1, 7))
    found.jump([jump(10, 6, "position-truncated", source=f"{OLD}~1")])
    found.advance(("t", 1), 9)
    assert found.runs == [
        Run("t", "t", 0, 0, 10),
        Run("t", "t", 1, 0, 7),
        Run("t", f"{OLD}~1", 0, 6, 6),
        Run("t", f"{OLD}~1", 1, 7, 9),
    ]


def test_a_place_only_the_broker_remembered_begins_a_run() -> None:
    found = Coverage()
    found.jump([jump(40, 40, "position-unknown")])
    found.advance(("t", 0), 60)
    assert found.runs == [Run("t", "t", 0, 40, 60)]
