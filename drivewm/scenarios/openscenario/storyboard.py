"""The storyboard as a machine: stories, acts, manoeuvres and events with their states (ASAM OpenSCENARIO 1.2, section 8.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from drivewm.scenarios.openscenario.actions import private_action, teleport
from drivewm.scenarios.openscenario.causes import Cause
from drivewm.scenarios.openscenario.conditions import Trigger, trigger
from drivewm.scenarios.openscenario.expressions import ExpressionError, as_number
from drivewm.scenarios.openscenario.longitudinal import Done, Start, at_once
from drivewm.scenarios.openscenario.reading import Reading, Unsupported
from drivewm.scenarios.openscenario.stage import Stage
from drivewm.scenarios.xml import Element, child, tag

Weather = Callable[[Stage, Reading, Element], None]  # what an EnvironmentAction does


@dataclass
class Step:
    """One action of an event: for every actor, or once if it is global."""

    name: str
    private: bool
    start: Start
    going: list[Done] = field(default_factory=list)


@dataclass
class Event:
    name: str
    element: Element
    reading: Reading
    trigger: Trigger | None
    steps: list[Step]
    cause: Cause
    overrides: bool
    most: int
    times: int = 0
    state: str = "standby"

    def promised(self, stage: Stage, actors: list[str]) -> bool:
        """Writes the steps of an event that never began into the scripts of its actors, if it is possible for all of them."""
        movers = [stage.mover(self.reading, self.element, name) for one in actors for name in stage.members(one)]
        movers = [mover for mover in movers if mover.present and not mover.is_ego]
        never = Cause(never=self.cause.reacts)
        if not movers or not all(step.private for step in self.steps) or any(never.waits(stage, m) is None for m in movers):
            return False
        for step in self.steps:
            for mover in movers:
                step.start(stage, mover, never)
        self.times = 1
        return True


@dataclass
class Group:
    """A manoeuvre group: actors and the manoeuvres that they carry out."""

    name: str
    actors: list[str]
    manoeuvres: list[tuple[str, list[Event]]]


@dataclass
class Act:
    name: str
    story: str
    groups: list[Group]
    start: Trigger | None
    stop: Trigger | None
    state: str = "standby"


@dataclass
class Board:
    acts: list[Act]
    stop: Trigger | None

    def events(self) -> list[Event]:
        return [event for act in self.acts for group in act.groups for _, events in group.manoeuvres for event in events]

    def promise(self, stage: Stage) -> None:
        """Adds what was never come to, but waits for something that the state engine sees by itself, to the scripts.

        A step waits for the one before it, so nothing is added behind an event that stays away.
        """
        for group in (group for act in self.acts if act.state == "running" for group in act.groups):
            for _, events in group.manoeuvres:
                kept = True
                for event in events:
                    if event.times or not kept:
                        kept = kept and event.times > 0
                        continue
                    kept = event.promised(stage, group.actors)

    def look(self, stage: Stage) -> None:
        """Advances all states at the present instant."""
        for act in self.acts:
            if act.state == "standby" and (act.start is None or act.start.fires(stage)):
                act.state = "running"
            if act.state == "running":
                for group in act.groups:
                    self._group(stage, act, group)
                done = all(
                    event.state == "complete" for group in act.groups for _, events in group.manoeuvres for event in events
                )
                if done or (act.stop is not None and act.stop.fires(stage)):
                    act.state = "complete"
            stage.states["act", act.name] = act.state
            same = [other.state for other in self.acts if other.story == act.story]
            finished = all(state == "complete" for state in same)
            stage.states["story", act.story] = "complete" if finished else "running"

    @staticmethod
    def _group(stage: Stage, act: Act, group: Group) -> None:
        for name, events in group.manoeuvres:
            for event in events:
                _event(stage, act, group, events, event)
            finished = all(event.state == "complete" for event in events)
            stage.states["maneuver", name] = "complete" if finished else "running"
        states = [stage.states["maneuver", name] for name, _ in group.manoeuvres]
        stage.states["maneuverGroup", group.name] = "complete" if all(s == "complete" for s in states) else "running"


def _event(stage: Stage, act: Act, group: Group, events: list[Event], event: Event) -> None:
    if event.state == "running":
        for step in event.steps:
            step.going = [done for done in step.going if not done(stage)]
            stage.states["action", step.name] = "running" if step.going else "complete"
        if not any(step.going for step in event.steps):
            _finish(event)
    if event.state == "standby" and (event.trigger is None or event.trigger.fires(stage)):
        if event.overrides:
            for other in events:
                if other is not event and other.state == "running":
                    other.state = "complete"
        event.state, event.times = "running", event.times + 1
        for step in event.steps:
            names = [one for name in group.actors for one in stage.members(name)] if step.private else [stage.ego]
            movers = [stage.mover(event.reading, event.element, name) for name in names]
            step.going = [step.start(stage, mover, event.cause) for mover in movers if mover.present]
            stage.states["action", step.name] = "running"
    stage.states["event", event.name] = event.state


def _finish(event: Event) -> None:
    event.state = "complete"
    if event.times < event.most:
        event.state = "standby"
        if event.trigger is not None:
            event.trigger.forget()


def board(reading: Reading, root: Element, ego: str, weather: Weather) -> Board:
    """Compiles the storyboard's stories; actions that are not supported are listed and end at once."""
    element = reading.need(root, "Storyboard")
    acts = []
    for story in reading.children(element, "Story"):
        scope = reading.within(reading.declarations(story))
        for act in scope.children(story, "Act"):
            groups = [_compiled(scope, one, ego, weather) for one in scope.children(act, "ManeuverGroup")]
            start, stop = (trigger(scope, child(act, name), ego) for name in ("StartTrigger", "StopTrigger"))
            acts.append(Act(scope.text(act, "name", ""), scope.text(story, "name", ""), groups, start, stop))
    return Board(acts, trigger(reading, child(element, "StopTrigger"), ego))


def _compiled(reading: Reading, element: Element, ego: str, weather: Weather) -> Group:
    who = reading.child(element, "Actors")
    actors = [] if who is None else [reading.text(one, "entityRef") for one in reading.children(who, "EntityRef")]
    if who is not None and reading.truth(who, "selectTriggeringEntities", False):
        reading.note(who, "actors are those that are named, not those that trigger")
    found = []
    for one in reading.children(element, "Maneuver", "CatalogReference"):
        if tag(one) == "Maneuver":
            entry: tuple[Reading, Element] | None = reading.within(reading.declarations(one)), one
        else:
            entry = reading.entry(one)
        if entry is None:
            continue
        inner, manoeuvre = entry
        events: list[Event] = []
        for event in inner.children(manoeuvre, "Event"):
            events.append(_event_of(inner, event, ego, weather, events[-1].name if events else None))
        found.append((inner.text(manoeuvre, "name", ""), events))
    return Group(reading.text(element, "name", ""), actors, found)


def _event_of(reading: Reading, element: Element, ego: str, weather: Weather, before: str | None) -> Event:
    begins = trigger(reading, child(element, "StartTrigger"), ego)
    steps = [_step(reading, one, weather) for one in reading.children(element, "Action")]
    return Event(
        name=reading.text(element, "name", ""),
        element=element,
        reading=reading,
        trigger=begins,
        steps=steps,
        cause=Cause() if begins is None else begins.cause(before),
        overrides=reading.text(element, "priority", "override") in ("overwrite", "override"),
        most=min(max(reading.whole(element, "maximumExecutionCount", 1), 1), 100),
    )


def _step(reading: Reading, element: Element, weather: Weather) -> Step:
    name = reading.text(element, "name", "")
    try:
        inner = reading.one_of(element, "PrivateAction", "GlobalAction")
        if tag(inner) == "PrivateAction":
            return Step(name, True, private_action(reading, inner))
        return Step(name, False, global_action(reading, inner, weather))
    except Unsupported as problem:
        reading.note(problem.element, problem.why)
        return Step(name, False, lambda stage, mover, cause: at_once)


def global_action(reading: Reading, element: Element, weather: Weather) -> Start:
    """Compiles a <GlobalAction>; raises `Unsupported`."""
    inner = reading.one_of(element, "EnvironmentAction", "EntityAction", "ParameterAction", "VariableAction")
    kind = tag(inner)
    if kind == "EnvironmentAction":
        return _weather_change(reading, inner, weather)
    if kind == "EntityAction":
        return _entity_action(reading, inner)
    return _assignment(reading, inner, kind == "ParameterAction")


def _weather_change(reading: Reading, element: Element, weather: Weather) -> Start:
    def start(stage: Stage, _: object, cause: Cause) -> Done:
        weather(stage, reading, element)
        return at_once

    return start


def _entity_action(reading: Reading, element: Element) -> Start:
    name, what = reading.text(element, "entityRef"), reading.one_of(element, "AddEntityAction", "DeleteEntityAction")
    add = teleport(reading, what) if tag(what) == "AddEntityAction" else None

    def start(stage: Stage, _: object, cause: Cause) -> Done:
        mover = stage.mover(reading, element, name)
        if add is None:
            if stage.t_s > 0:
                reading.note(element, "nobody can vanish from a scene")
            else:
                mover.present = False
        elif not mover.placed:
            if stage.t_s > 0:
                reading.note(element, "nobody can appear in a scene; it stands there from the start")
            add(stage, mover, Cause())
            mover.start = (mover.s_m, mover.offset_m, 0.0)
            mover.present = True
        return at_once

    return start


def _assignment(reading: Reading, element: Element, parameter: bool) -> Start:
    name = reading.text(element, "parameterRef" if parameter else "variableRef")
    inner = reading.one_of(element, "SetAction", "ModifyAction")
    change = reading.one_of(reading.need(inner, "Rule")) if tag(inner) == "ModifyAction" else inner
    value, adds = reading.value(change, "value"), tag(change) == "AddValue"

    def start(stage: Stage, _: object, cause: Cause) -> Done:
        table = stage.parameters if parameter else stage.variables
        if change is inner:
            table[name] = value
            return at_once
        try:
            before, by = as_number(table.get(name, 0.0)), as_number(value)
        except ExpressionError as problem:
            raise reading.error(change, str(problem)) from None
        table[name] = before + by if adds else before * by
        return at_once

    return start
