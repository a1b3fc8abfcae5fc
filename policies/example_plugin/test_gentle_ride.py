from gentle_ride import score

from drivewm.testing import check_metric


def test_it_keeps_the_promises_of_a_metric() -> None:
    check_metric(score)
