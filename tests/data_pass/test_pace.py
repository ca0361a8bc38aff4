"""How far, how fast, how long: with a clock that the test sets."""

from relustat.data_pass.pace import Pace


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def passed(pace, clock, seconds, *batches):
    clock.now += seconds
    for samples in batches:
        pace.advance(samples)
    return str(pace)


def test_of_a_known_number_of_batches():
    clock = Clock()
    pace = Pace(8, clock=clock)
    assert str(pace) == "0 samples, 0%, 0/s"
    assert passed(pace, clock, 10, 32, 32) == "64 samples, 25%, 6.4/s, 0:30 left"
    assert pace.seconds_left == 30
    assert passed(pace, clock, 30, *[1000] * 6) == "6,064 samples, 100%, 152/s, 0:00 left"


def test_long_and_fast():
    clock = Clock()
    pace = Pace(1000, clock=clock)
    assert passed(pace, clock, 10, 123456) == "123,456 samples, 0%, 12,346/s, 2:46:30 left"


def test_of_an_unknown_number():
    clock = Clock()
    assert passed(Pace(clock=clock), clock, 2, 5) == "5 samples, 2.5/s"


def test_a_limit_that_is_reached_before_the_last_batch():
    clock = Clock()
    pace = Pace(100, limit=40, clock=clock)
    assert passed(pace, clock, 1, 10) == "10 samples, 25%, 10/s, 0:03 left"
    assert not pace.is_at_limit
    passed(pace, clock, 3, 10, 10, 11)
    assert pace.is_at_limit
    assert pace.share == 1


def test_a_limit_beyond_the_last_batch():
    clock = Clock()
    assert (
        passed(Pace(2, limit=1000, clock=clock), clock, 1, 10) == "10 samples, 50%, 10/s, 0:01 left"
    )


def test_what_an_earlier_process_did_is_not_this_ones_speed():
    clock = Clock()
    pace = Pace(10, clock=clock)
    pace.begin(5, 500)
    assert str(pace) == "500 samples, 50%, 0/s"
    assert passed(pace, clock, 10, 100) == "600 samples, 60%, 10/s, 0:40 left"
