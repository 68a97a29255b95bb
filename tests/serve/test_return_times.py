"""Refused clients come again at different times, at the rate at which images are answered."""

from collections import Counter

from hubtune.serve.return_times import ReturnTimes


def test_clients_return_somewhat_faster_than_images_are_answered():
    now = [100.0]
    times = ReturnTimes(lambda: now[0])
    for _ in range(200):
        now[0] += 1 / 40
        times.add_answer()
    waits = [times.seconds_to_wait() for _ in range(3000)]
    assert waits[0] == 1 and waits == sorted(waits) and waits[-1] == 30
    assert 55 <= Counter(waits)[5] <= 65  # 1.5 times 40 a second
    now[0] += 60
    assert times.seconds_to_wait() == 1


def test_without_answers_there_is_a_least_rate():
    times = ReturnTimes(lambda: 0.0)
    assert Counter(times.seconds_to_wait() for _ in range(100))[3] == 15
    times.add_answer()
    assert times.seconds_to_wait() >= 1
