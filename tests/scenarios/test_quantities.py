"""Numbers with units: what is read, what is refused, and with which words."""

import math

import pytest

from drivewm.scenarios.distributions import Choice, Normal, Uniform, distribution
from drivewm.scenarios.quantities import ACCELERATION, LENGTH, NUMBER, SPEED, TIME, Quantity, QuantityError, evaluate, quantity

PARAMETERS = {"speed": Quantity(20.0, SPEED), "gap": Quantity(30.0, LENGTH), "weather": "rain"}


@pytest.mark.parametrize(
    ("text", "value", "dimension"),
    [
        ("36 km/h", 10.0, SPEED),
        ("10 mph", 4.4704, SPEED),
        ("3.5 m", 3.5, LENGTH),
        ("350 cm", 3.5, LENGTH),
        ("500 ms", 0.5, TIME),
        ("-4 m/s2", -4.0, ACCELERATION),
        ("180 deg", math.pi, (0, 0, 1)),
        ("25 %", 0.25, NUMBER),
        ("1.5 s * $speed", 30.0, LENGTH),
        ("$speed - 36 km/h", 10.0, SPEED),
        ("$speed * $speed / (2 * 5 m/s2)", 40.0, LENGTH),
        ("($gap + 10 m) / $speed", 2.0, TIME),
    ],
)
def test_expressions_have_si_values_and_dimensions(text: str, value: float, dimension: tuple[int, int, int]) -> None:
    got = evaluate(text, PARAMETERS)
    assert isinstance(got, Quantity)
    assert got.value == pytest.approx(value)
    assert got.dimension == dimension


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("$gap > 1 s * $speed", True),
        ("10 m < $gap < 20 m", False),
        ("$weather == rain and not $gap < 10 m", True),
        ("$weather != rain or $speed < 50 km/h", False),
    ],
)
def test_comparisons(text: str, truth: bool) -> None:
    assert evaluate(text, PARAMETERS) is truth


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("20 m + 3 s", "adds or subtracts a length and a time"),
        ("$gap > 3 s", "compares a length with a time"),
        ("$sped", "did you mean 'speed'"),
        ("50 kph", "unknown unit 'kph', did you mean"),
        ("3 m/s^2", "unknown unit 'm/s^2', did you mean 'm/s2'"),
        ("1 m / 0", "divides by zero"),
        ("1e999 m", "not a finite number"),
        ("__import__('os')", "not an expression"),
        ("open('x')", "not an expression"),
        ("(1).real", "not an expression"),
        ("[1, 2][0]", "not an expression"),
        ("lambda: 3", "not an expression"),
        ("5 m ** 2", "not an expression"),
        ("speed + 3 m", "parameters are written $name"),
        ("1 +" * 100, "longer than"),
        ("(" * 199, "not an expression"),
        ("not 3 m", "where a comparison is needed"),
    ],
)
def test_anything_else_is_refused_in_words(text: str, says: str) -> None:
    with pytest.raises(QuantityError) as caught:
        evaluate(text, PARAMETERS)
    assert says in f"{caught.value.reason} {caught.value.hint}"


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ("20 m", "'20 m' is a length, a speed is needed for example 50 km/h"),
        (13, "'13' has no unit, a speed is needed"),
        (True, "True is not a speed"),
        ("fast", "the word 'fast'"),
    ],
)
def test_a_field_wants_its_own_kind(raw: object, says: str) -> None:
    with pytest.raises(QuantityError) as caught:
        quantity(raw, SPEED)
    assert says in f"{caught.value.reason} {caught.value.hint}"


def test_a_range_is_uniform() -> None:
    speeds = distribution("[36 .. 72] km/h")
    assert isinstance(speeds, Uniform)
    assert [speeds.at(u).value for u in (0.0, 0.5, 1.0)] == pytest.approx([10.0, 15.0, 20.0])  # type: ignore[union-attr]
    assert speeds.has(Quantity(12.0, SPEED)) and not speeds.has(Quantity(21.0, SPEED))


def test_a_bell_curve_stays_within_its_limits_and_keeps_its_middle() -> None:
    bell = distribution({"normal": "50 m", "sd": "10 m", "clip": "[30 .. 70] m"})
    assert isinstance(bell, Normal)
    values = [bell.at((i + 0.5) / 1000).value for i in range(1000)]  # type: ignore[union-attr]
    assert 30.0 <= min(values) < 32.0 and 68.0 < max(values) <= 70.0
    assert sum(values) / 1000 == pytest.approx(50.0, abs=0.1)
    inner = sum(40.0 <= value <= 60.0 for value in values) / 1000
    assert inner == pytest.approx(0.6827 / 0.9545, abs=0.005)


def test_weights_are_frequencies() -> None:
    weather = distribution({"clear": 3, "rain": 1})
    assert isinstance(weather, Choice)
    drawn = [weather.at((i + 0.5) / 400) for i in range(400)]
    assert drawn.count("clear") == 300 and drawn.count("rain") == 100


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ("[60 .. 30] km/h", "larger end first"),
        ("[30 .. 60] kph", "unknown unit 'kph'"),
        ("[3 m .. 5 s]", "runs from a length to a time"),
        ("[30 - 60] km/h", "not a range"),
        ([], "nothing to choose from"),
        (["3 m", "4 s"], "different kinds"),
        ({"clear": -1}, "the weight of clear is -1"),
        ({"clear": 0}, "all weights are zero"),
        ({"normal": "50 m", "sd": "0 m", "clip": "[1 .. 2] m"}, "must be positive"),
        ({"normal": "50 m", "sd": "1 m"}, "normal, sd and clip"),
        ("$other + 3 m", "mentions another parameter"),
        (None, "is not a value"),
    ],
)
def test_odd_distributions_are_refused_in_words(raw: object, says: str) -> None:
    with pytest.raises(QuantityError) as caught:
        distribution(raw)
    assert says in f"{caught.value.reason} {caught.value.hint}"
