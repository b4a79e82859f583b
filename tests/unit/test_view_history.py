import pytest

from neuralake_kernel.view import RateHistory

pytestmark = pytest.mark.unit


def test_two_readings_make_a_speed():
    history = RateHistory()
    history.add("eeg", 100.0, rows=0, messages=0, commits=0)
    history.add("eeg", 101.0, rows=500, messages=50, commits=1)

    rates = history.rates("eeg", 101.0)

    assert (rates.rows_s, rates.messages_s, rates.commits_s) == (500.0, 50.0, 1.0)
    assert rates.points == ((0.0, 500.0),)


def test_one_reading_is_no_speed():
    history = RateHistory()
    history.add("eeg", 100.0, rows=9, messages=9, commits=1)

    assert history.rates("eeg", 100.0).rows_s is None
    assert history.rates("unknown", 100.0).points == ()


def test_a_restart_of_the_worker_is_never_a_negative_speed():
    history = RateHistory()
    history.add("eeg", 100.0, rows=1_000, messages=1_000, commits=10)
    history.add("eeg", 101.0, rows=2_000, messages=2_000, commits=11)
    history.add("eeg", 102.0, rows=5, messages=5, commits=0)

    assert history.rates("eeg", 102.0).rows_s is None

    history.add("eeg", 103.0, rows=105, messages=105, commits=1)
    assert history.rates("eeg", 103.0).rows_s == 100.0


def test_the_speed_sinks_to_nought_when_reports_stop():
    history = RateHistory(average_s=2.0)
    history.add("eeg", 100.0, rows=0, messages=0, commits=0)
    history.add("eeg", 101.0, rows=1_000, messages=1_000, commits=1)

    assert history.rates("eeg", 101.5).rows_s == 1_000.0
    assert 0 < history.rates("eeg", 104.0).rows_s < 1_000.0
    assert history.rates("eeg", 106.0).rows_s == 0.0


def test_asking_often_does_not_grow_the_window():
    history = RateHistory(window_s=10.0, spacing_s=0.5)
    for step in range(3_000):
        now_s = 100.0 + step * 0.01
        history.add("eeg", now_s, rows=step, messages=step, commits=0)
        points = history.rates("eeg", now_s).points

    assert len(points) <= 21
    assert points[0][0] >= -10.0
    assert [at_s for at_s, _ in points] == sorted(at_s for at_s, _ in points)


def test_a_job_that_went_away_is_forgotten():
    history = RateHistory()
    for at_s in (1.0, 2.0):
        history.add("eeg", at_s, rows=int(at_s), messages=0, commits=0)
    history.forget({"spikes"})

    assert history.rates("eeg", 2.0).rows_s is None
