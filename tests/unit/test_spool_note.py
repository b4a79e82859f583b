"""What a spool's drainer notes: it comes back as it was written, and lands only what no abort can reach."""

from pathlib import Path

from neuralake_kernel.source.drain_note import Note, Tried


def test_a_note_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "drained.json"
    assert Note.read(path) == Note()
    note = Note("id", {0: 10, 1: 0}, {0: [Tried(20, 35), Tried(30, 46)]})
    note.write(path)
    assert Note.read(path) == note
    assert [file.name for file in tmp_path.iterdir()] == ["drained.json"]


def test_what_lies_below_the_stable_end_has_landed_and_the_rest_is_still_tried() -> None:
    note = Note("id", {0: 10, 1: 5}, {0: [Tried(20, 35), Tried(30, 46)], 1: [Tried(6, 7)]})
    assert note.land({0: 46, 1: 7}) == {0: 20}, "an end is the offset after the last stable message"
    assert note.landed == {0: 20, 1: 5}
    assert note.tried == {0: [Tried(30, 46)], 1: [Tried(6, 7)]}
    assert note.land({0: 47, 1: 9}) == {0: 30, 1: 6}
    assert note.tried == {}


def test_the_furthest_place_is_that_of_the_last_commit_tried() -> None:
    note = Note("id", {0: 10, 1: 5}, {0: [Tried(20, 35), Tried(30, 46)]})
    assert [note.furthest(partition) for partition in (0, 1, 2)] == [30, 5, None]
