"""The words of the scenario language: what a YAML document may say, once its parameters have values.

Lengths, times and speeds are held in SI. Sides are always seen from the one who is spoken of: ``lane: left`` is left of the ego,
``change_lane: left`` is left of the actor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import CoreSchema, no_info_plain_validator_function

from drivewm.datatypes import Light, SignalState, Weather
from drivewm.errors import did_you_mean
from drivewm.scenarios.quantities import (
    ACCELERATION,
    ANGLE,
    KINDS,
    LENGTH,
    SPEED,
    TIME,
    Dimension,
    Quantity,
    QuantityError,
    quantity,
)
from drivewm.scenarios.roads_options import SIGHT_LIMITS_M

Side = Literal["left", "right"]
Turn = Literal["left", "straight", "right"]
RoadKind = Literal[
    "straight",
    "curve",
    "merge",
    "exit",
    "ramp",
    "roundabout",
    "t_junction",
    "four_way",
    "crosswalk",
    "parking_row",
    "roadworks",
    "tunnel",
    "narrow",
    "crest",
]
Body = Literal[
    "car", "van", "truck", "bus", "motorcycle", "bicycle", "pedestrian", "child", "barrier", "traffic_cone", "debris",
    "trailer", "construction_vehicle", "police_car", "ambulance", "scooter", "stroller", "animal",
]  # fmt: skip
Camera = Literal["CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT"]
SIGNAL_STATES = {"red": SignalState.RED, "yellow": SignalState.YELLOW, "green": SignalState.GREEN}


def _complaint(kind: str, reason: str, hint: str | None = None) -> PydanticCustomError:
    # The reason goes in as a field: braces in it must not be read as a template.
    return PydanticCustomError(kind, "{reason}", {"reason": reason, "hint": hint or ""})


@dataclass(frozen=True)
class Measure:
    """Annotates a float: text with a unit comes in, an SI value between ``low`` and ``high`` is kept."""

    dimension: Dimension
    low: float
    high: float

    def read(self, raw: Any) -> float:
        try:
            value = quantity(raw, self.dimension)
        except QuantityError as error:
            raise _complaint("quantity", error.reason, error.hint) from None
        if not self.low - 1e-9 <= value <= self.high + 1e-9:
            limits = f"it must lie between {Quantity(self.low, self.dimension)} and {Quantity(self.high, self.dimension)}"
            raise _complaint("quantity", f"{Quantity(value, self.dimension)} is out of range", limits)
        return min(max(value, self.low), self.high)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return _measure_schema(self.dimension)


class GapMeasure:
    """Annotates a `Quantity` that is a length or a time."""

    limits: ClassVar[dict[Dimension, float]] = {LENGTH: 400.0, TIME: 20.0}

    def read(self, raw: Any) -> Quantity:
        errors = []
        for dimension, high in self.limits.items():
            try:
                value = quantity(raw, dimension)
            except QuantityError as error:
                errors.append(error)
                continue
            if not 0 <= value <= high:
                limits = f"it must lie between 0 and {Quantity(high, dimension)}"
                raise _complaint("quantity", f"{Quantity(value, dimension)} is out of range", limits)
            return Quantity(value, dimension)
        raise _complaint("quantity", errors[0].reason.replace("a length is", "a length or a time is"), errors[0].hint)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return _measure_schema(*self.limits)


def _measure_schema(*dimensions: Dimension) -> dict[str, Any]:
    names = " or ".join(KINDS[d][0] for d in dimensions)
    return {"type": "string", "description": f"{names}; may use $parameters", "examples": [KINDS[d][1] for d in dimensions]}


Speed = Annotated[float, Measure(SPEED, 0.0, 60.0)]
Length = Annotated[float, Measure(LENGTH, 0.0, 2000.0)]
Shift = Annotated[float, Measure(LENGTH, -20.0, 20.0)]
Time = Annotated[float, Measure(TIME, 0.0, 120.0)]
Lateness = Annotated[float, Measure(TIME, -10.0, 10.0)]
Duration = Annotated[float, Measure(TIME, 0.3, 30.0)]
Rate = Annotated[float, Measure(ACCELERATION, 0.2, 12.0)]
Angle = Annotated[float, Measure(ANGLE, -6.2832, 6.2832)]
Gap = Annotated[Quantity, GapMeasure()]


class Part(BaseModel):
    """A mapping in the document that knows its keys; an unknown one is answered with the closest known."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False, arbitrary_types_allowed=True)

    @model_validator(mode="before")
    @classmethod
    def _only_known_keys(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            raise _complaint("mapping", f"{str(raw)[:60]!r} stands where keys and values are needed", _keys(cls))
        known = [field.alias or name for name, field in cls.model_fields.items()]
        for key in raw:
            if key not in known:
                hint = did_you_mean(str(key), known) or _keys(cls)
                raise PydanticCustomError("unknown_key", "unknown key {key}", {"key": str(key), "hint": hint})
            if raw[key] is None:
                raise PydanticCustomError(
                    "no_value", "key {key} has no value", {"key": str(key), "hint": "leave it out or say what"}
                )
        return raw


def _keys(part: type[BaseModel]) -> str:
    return "its keys are " + ", ".join(field.alias or name for name, field in part.model_fields.items())


def _exactly_one(options: dict[str, Any]) -> None:
    given = [name for name, value in options.items() if value is not None]
    if len(given) != 1:
        said = "none of them is given" if not given else f"{' and '.join(given)} are given"
        raise _complaint("one_of", f"needs exactly one of {', '.join(options)}; {said}")


class SignalPlan(Part):
    """What the traffic light in front of the ego shows; the crossing street sees the opposite."""

    shows: Literal["green", "red"]
    until: Time | None = Field(None, description="then it changes (by way of yellow when it was green); never, if absent")


class Road(Part):
    """The place."""

    kind: RoadKind
    lanes: int = Field(1, ge=1, le=4, description="in the ego's direction")
    oncoming: int = Field(1, ge=0, le=3, description="in the other direction")
    lane_width: Annotated[float, Measure(LENGTH, 2.5, 5.0)] = 3.5
    length: Annotated[float, Measure(LENGTH, 100.0, 2000.0)] | None = Field(None, description="else as long as needed")
    radius: Annotated[float, Measure(LENGTH, 12.0, 1000.0)] | None = Field(None, description="of a curve or roundabout")
    sight: Annotated[float, Measure(LENGTH, *SIGHT_LIMITS_M)] | None = Field(
        None, description="how far one sees over a crest, eye at 1.08 m and object 0.6 m high; else as the speed limit asks for"
    )
    turn: Side = Field("left", description="which way a curve bends, where a T-junction has its side road")
    speed_limit: Annotated[float, Measure(SPEED, 2.0, 40.0)] = 50 / 3.6
    surroundings: Literal["town", "rural", "motorway"] = "town"
    crosswalks: bool = False
    signal: SignalPlan | None = None


class Change(Part):
    """From ``at`` on, the conditions given here replace those before."""

    at: Time
    weather: Weather | None = None
    light: Light | None = None
    lost_cameras: tuple[Camera, ...] | None = None
    dirty_cameras: tuple[Camera, ...] | None = None
    delayed_cameras: tuple[Camera, ...] | None = None


class Surroundings(Part):
    """Weather and light, faulty cameras, and bystanders that have no part in the plot."""

    weather: Weather = Weather.CLEAR
    light: Light = Light.DAY
    sun: Angle | None = Field(None, description="where the sun stands, from the ego's heading, left positive")
    lost_cameras: tuple[Camera, ...] = Field((), description="deliver black pictures")
    dirty_cameras: tuple[Camera, ...] = Field((), description="look through dirt")
    delayed_cameras: tuple[Camera, ...] = Field((), description="deliver old pictures")
    camera_delay: Annotated[float, Measure(TIME, 0.1, 3.0)] = Field(0.4, description="how old those of delayed cameras are")
    bystanders: Literal["none", "few", "many"] = "few"
    changes: tuple[Change, ...] = ()


class Ego(Part):
    """How the ego enters the scene. It stands where the meetings of the actors want it, or ``reaches`` the place."""

    speed: Speed
    lane: int = Field(1, ge=1, le=4, description="counted from the right")
    turn: Turn = Field("straight", description="at the next branch")
    reaches: Time | None = Field(None, description="when it would reach the junction, crosswalk or works at constant speed")


class Meet(Part):
    """Where the paths of actor and ego cross, both would be at the same time if nobody changed speed."""

    after: Time | None = Field(None, description="when the ego gets there")
    late: Lateness = Field(0.0, description="how much later the actor gets there; negative is earlier")


class When(Part):
    """What starts a step; exactly one of the three."""

    after: Time | None = Field(None, description="scene time")
    within: Length | None = Field(None, description="distance to the ego, centre to centre")
    ttc: Time | None = Field(None, description="distance to the ego over closing speed")

    @model_validator(mode="after")
    def _one_condition(self) -> Self:
        _exactly_one({"after": self.after, "within": self.within, "ttc": self.ttc})
        return self


class Step(Part):
    """One thing an actor does; steps happen in the order written."""

    when: When
    speed: Speed | None = None
    rate: Rate = Field(2.0, description="how hard it brakes or accelerates")
    change_lane: Side | None = None
    drift: Shift | None = Field(None, description="sideways by so much, left positive")
    within: Duration = Field(3.0, description="how long the lane change or drift takes")

    @model_validator(mode="after")
    def _one_deed(self) -> Self:
        _exactly_one({"speed": self.speed, "change_lane": self.change_lane, "drift": self.drift})
        return self


class Actor(Part):
    """Somebody or something else in the scene, placed relative to the ego."""

    is_: Body = Field(alias="is")
    lane: str | None = Field(None, description="same, left, right, oncoming, or the id of a lane such as from_left.0")
    beside: Side | None = Field(None, description="next to the road, on this side of it")
    from_: Side | None = Field(None, alias="from", description="crosses the road, coming from this side of it")
    ahead: Gap | None = Field(None, description="bumper to bumper; a time means so many seconds of the ego's driving")
    behind: Gap | None = None
    before: Length | None = Field(None, description="front bumper so far before the end of its lane, at the stop line")
    meet: Meet | None = None
    speed: Speed = 0.0
    offset: Shift = Field(0.0, description="from the middle of the lane, left positive")
    clear: Length = Field(0.5, description="with beside: distance from the outermost lane")
    facing: Literal["along", "against", "road"] | None = Field(None, description="with beside: which way it looks and goes")
    turn: Turn = Field("straight", description="at its next branch")
    reacts: bool = Field(False, description="keeps its distance and obeys lights, instead of holding its speed")
    count: int = Field(1, ge=1, le=30, description="how many of them, one behind the other")
    every: Annotated[float, Measure(LENGTH, 0.5, 100.0)] = Field(7.0, description="from one to the next, when there are several")
    steps: tuple[Step, ...] = Field((), max_length=8)

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        _exactly_one({"lane": self.lane, "beside": self.beside, "from": self.from_})
        _exactly_one({"ahead": self.ahead, "behind": self.behind, "before": self.before, "meet": self.meet})
        reason = ""
        if self.from_ is not None and (self.meet is None or self.speed < 0.3):
            reason = "who crosses with 'from' needs 'meet' and a speed above 1 km/h; who waits stands 'beside' the road"
        elif self.beside is not None and (self.meet is not None or self.before is not None):
            reason = "who is 'beside' the road has 'ahead' or 'behind'"
        elif self.facing is not None and self.beside is None:
            reason = "'facing' is only for those 'beside' the road"
        elif self.meet is not None and self.count > 1:
            reason = "only one actor can 'meet' the ego; leave out 'count'"
        if reason:
            raise _complaint("placement", reason)
        return self


class End(Part):
    """When the scene is over."""

    after: Annotated[float, Measure(TIME, 1.0, 60.0)]


_VARY = {
    "description": 'parameters, used elsewhere as $name: a range "[30 .. 60] km/h", a list, weights, or normal/sd/clip',
    "type": "object",
    "propertyNames": {"pattern": "^[A-Za-z][A-Za-z0-9_]*$"},
}
_WHERE = (
    "what must hold: between parameters, $gap > 0.5 s * $speed, or of the scene as it is placed, preventable(r157) "
    "or not preventable(attentive): whether the named driver gets through it without a collision"
)
Vary = Annotated[dict[str, Any], WithJsonSchema(_VARY)]
Sentence = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$")]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]


class Document(Part):
    """A scenario: one situation, or with ``vary`` a whole distribution of them."""

    name: Name = Field(description="family.name in small letters, for example cut_in.motorway")
    about: Sentence = Field(description="what happens, in a sentence or two")
    family: Word | None = Field(None, description="else the first part of the name")
    base: str | None = Field(None, description="another scenario, family.name or a path; this file says only what is different")
    maps_to: tuple[Sentence, ...] = Field((), description="names of the same situation in public protocols")
    tags: tuple[Word, ...] = Field((), description="words to find it by")
    vary: Vary = Field(default_factory=dict)
    where: tuple[Sentence, ...] = Field((), description=_WHERE)
    score: tuple[Sentence, ...] = Field((), description="what the drive must keep to besides the rules: $min_gap > 1 m")
    road: Road
    world: Surroundings = Surroundings()
    ego: Ego
    actors: dict[str, Actor] = Field(default_factory=dict, max_length=30)
    end: End


class RecordedEgo(Part):
    """How the ego enters a recorded drive: where it was, as fast as it was, or at another speed."""

    speed: Speed | None = None
    speed_factor: float = Field(1.0, ge=0.0, le=3.0, description="times the recorded speed")

    @model_validator(mode="after")
    def _one_speed(self) -> Self:
        if self.speed is not None and self.speed_factor != 1.0:
            raise _complaint("one_of", "speed and speed_factor are given; one of them is enough")
        return self


class RecordedActor(Part):
    """What is different about one recorded road user."""

    late: Lateness = Field(0.0, description="how much later it does everything; negative is earlier")
    gone: bool = Field(False, description="leave it out")
    reactive_after: Time | None = Field(None, description="from then on it yields where it must, and else goes on as recorded")


class RecordedDocument(Part):
    """A recorded drive as a scenario: everybody moves as recorded, unless this says otherwise."""

    name: Name = Field(description="family.name in small letters, for example recorded.left_turn")
    about: Sentence = Field(description="what happens, in a sentence or two")
    family: Word | None = Field(None, description="else the first part of the name")
    base: str | None = Field(None, description="another scenario, family.name or a path; this file says only what is different")
    maps_to: tuple[Sentence, ...] = Field((), description="names of the same situation in public protocols")
    tags: tuple[Word, ...] = Field((), description="words to find it by")
    log: str = Field(description="the recorded scene beside this file, as `drivewm scenario from-log` writes it")
    vary: Vary = Field(default_factory=dict)
    where: tuple[Sentence, ...] = Field((), description="what must hold between parameters: $late > -1 s")
    score: tuple[Sentence, ...] = Field((), description="what the drive must keep to besides the rules: $min_gap > 1 m")
    reactive_after: Time | None = Field(None, description="from then on vehicles yield where they must, else go on as recorded")
    world: Surroundings | None = Field(None, description="else as recorded; bystanders are those of the recording")
    ego: RecordedEgo = RecordedEgo()
    actors: dict[str, RecordedActor] = Field(default_factory=dict, description="track_12: what is different about track 12")
    end: End | None = Field(None, description="else when the recording ends")
