from careful_cruise import CarefulCruise

from drivewm.testing import check_policy


def test_it_keeps_the_promises_of_a_policy() -> None:
    check_policy(CarefulCruise())
