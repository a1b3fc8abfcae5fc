"""The dream card: which questions a world model is asked, in which order, and how a killed card goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import drivewm
from drivewm.data.marks import TrainedOn, trained_on
from drivewm.datatypes import Scene
from drivewm.errors import InputError, did_you_mean
from drivewm.evaluation.dream_card import (
    cameras,
    changes,
    commands,
    doubt,
    exploits,
    gate_answer,
    held_out,
    ladder,
    layout,
    looks,
    sky,
    stability,
    steps,
    sweep,
    training_worth,
)
from drivewm.evaluation.dream_card.answer import Answer
from drivewm.evaluation.dream_card.card import DreamCard, save_card
from drivewm.evaluation.dream_card.leaks import leaks, readers_read
from drivewm.evaluation.dream_card.page import write_pages
from drivewm.evaluation.dream_card.sample import Sample
from drivewm.evaluation.gate import load_limits
from drivewm.evaluation.readers import EMBEDDED as SHIPPED_READERS
from drivewm.evaluation.readers import Readers
from drivewm.evaluation.suite import load_suite
from drivewm.records import decode_record, encode_record
from drivewm.registry import names
from drivewm.store import content_hash, provenance, read_json, write_json
from drivewm.worldmodel.world import EMBEDDED, open_pipeline

Stage = held_out.Stage
LADDER = "ladder"  # the suite on which policies are ranked


@dataclass(frozen=True, slots=True)
class CardOptions:
    """How much is measured. ``only`` names questions; all are asked when it is empty."""

    each: int = 8  # drives of every seed
    seconds: float = 20.0  # how long they are dreamed
    seed: int = 0
    quick: bool = False
    only: tuple[str, ...] = ()


QUICK = CardOptions(each=1, seconds=8.0, quick=True)


@dataclass(frozen=True, slots=True)
class CardSources:
    """What is measured, with what, on what. ``cache`` None: held-out drives are made."""

    world: str = "dream"
    readers: Path = SHIPPED_READERS
    cache: Path | None = None


@dataclass(frozen=True, slots=True)
class Asking:
    """What a question is given. Pictures go to ``out``, what is only needed on the way to ``work``."""

    sample: Sample
    world: str
    out: Path
    work: Path
    quick: bool
    progress: Callable[..., None]


@dataclass(frozen=True, slots=True)
class Question:
    """One question, or two that are answered together. ``again``: it keeps its own work, so it is asked on every run."""

    keys: tuple[str, ...]
    ask: Callable[[Asking], tuple[Answer, ...]]
    again: bool = False


def of_sample(key: str, answer: Callable[[Sample, Path], Answer], again: bool = False) -> Question:
    """A question of the held-out drives."""
    return Question((key,), lambda asking: (answer(asking.sample, asking.out),), again)


#: in the order of the page
QUESTIONS: tuple[Question, ...] = (
    of_sample("looks", looks.answer),
    of_sample("commands", commands.answer),
    Question(("sweep",), lambda asking: (sweep.answer(asking.sample, asking.out, few=asking.quick),)),
    of_sample("layout", layout.answer),
    of_sample("changes", changes.answer),
    of_sample("sky", sky.answer),
    of_sample("cameras", cameras.answer),
    of_sample("stability", stability.answer),
    Question(("steps",), lambda asking: (steps.answer(asking.sample, asking.out, many=not asking.quick),)),
    Question(
        ("ranking", "events"),
        lambda asking: ladder.answers(asking.world, asking.work / "ladder", asking.quick, asking.progress),
        again=True,
    ),
    of_sample("training_worth", training_worth.answer, again=True),
    of_sample("exploits", exploits.answer, again=True),
    of_sample("doubt", doubt.answer),
    of_sample("gate", gate_answer.answer),
)


def make_card(sources: CardSources, out: Path, options: CardOptions, stage: Stage, command: str = "drivewm card") -> DreamCard:
    """Asks what was not asked before with the same world, drives, readers and code; the card and its pages go to ``out``.

    Raises InputError for a world that has no weights, for another rig, for too few drives, and for unknown questions.
    """
    refuse_unknown(options.only)
    folder, work = world_folder(sources.world), out / "work"
    pipeline, readers = open_pipeline(folder), Readers.load(sources.readers)
    trained = _learned(folder, sources.readers)
    wanted = held_out.Wanted(options.each, options.seconds, pipeline.transformer.size.size_px, options.seed)
    if sources.cache is None:
        drives = held_out.made(work / "held-out", wanted, trained, stage)
    else:
        drives = held_out.packed(sources.cache, wanted, readers.views)
    if readers.views != len(drives.rig.names):
        seen = f"readers look through {readers.views} cameras, the held-out drives have {len(drives.rig.names)}"
        raise InputError(seen, file=sources.readers, hint="train readers on the same rig: drivewm train readers")
    seeds = tuple(options.seed + index for index in range(held_out.SEEDS))
    sample = Sample(pipeline, readers, drives.rig, drives.drives, seeds, drives.of_seed, work, trained)
    asked = [question for question in QUESTIONS if not options.only or set(question.keys) & set(options.only)]
    controls = (
        Question(("leaks",), lambda asking: (leaks(drives, asking.sample, trained, scenes_of_policies()),)),
        Question(("readers",), lambda asking: (readers_read(asking.sample),)),
    )
    named = {"world": pipeline.identity(), "readers": readers.fingerprint(), "drives": held_out.name_of(drives)}
    made_from = content_hash([named, seeds, options.quick, trained, load_limits(), _code()])
    found: dict[str, tuple[Answer, ...]] = {}
    took_s: dict[str, float] = {}
    for number, question in enumerate((*asked, *controls), 1):
        name = " and ".join(question.keys)
        progress = stage(f"{number} of {len(asked) + len(controls)}: {name}")
        asking = Asking(sample, sources.world, out, work, options.quick, progress)
        found[name], took_s[name] = _asked(question, asking, made_from)
    answers, checks = (
        tuple(answer for question in questions for answer in found[" and ".join(question.keys)])
        for questions in (asked, controls)
    )
    lights = {answer.key: answer.light for answer in answers + checks}
    card = DreamCard(
        world=named["world"],
        readers=named["readers"],
        command=command,
        quick=options.quick,
        drives=len(drives.of_seed),
        seconds=options.seconds,
        seeds=seeds,
        answers=answers,
        controls=checks,
        lights=lights,
        took_s=took_s,
        provenance=provenance(options.seed, **named),
    )
    save_card(out, card)
    write_pages(out, card)
    return card


def _asked(question: Question, asking: Asking, made_from: str) -> tuple[tuple[Answer, ...], float]:
    """The answers, asked or as they were kept, and the seconds that asking took."""
    file = asking.work / "answers" / f"{'-'.join(question.keys)}.json"
    kept_s = 0.0
    if file.is_file():
        kept = read_json(file)
        if kept["made_from"] == made_from and question.again:
            kept_s = float(kept["took_s"])  # what it keeps was made then
        elif kept["made_from"] == made_from:
            answers = tuple(decode_record(Answer, value, file=file) for value in kept["answers"])
            if all((asking.out / name).is_file() for answer in answers for name, _ in answer.pictures):
                return answers, float(kept["took_s"])
    began = time.perf_counter()
    answers = question.ask(asking)
    took_s = max(kept_s, round(time.perf_counter() - began, 1))
    write_json(file, {"made_from": made_from, "took_s": took_s, "answers": [encode_record(answer) for answer in answers]})
    return answers, took_s


def refuse_unknown(keys: Sequence[str]) -> None:
    """Raises InputError for a question that no card asks."""
    known = [key for question in QUESTIONS for key in question.keys]
    for key in keys:
        if key not in known:
            raise InputError(f"the card has no question {key!r}", hint=did_you_mean(key, known) or ", ".join(known))


def _learned(world: Path, readers: Path) -> TrainedOn | None:
    """What world and readers have learned from, as far as both say; None where the world does not."""
    trained, read = trained_on(world), trained_on(readers)
    return trained.after(read) if trained and read else trained


def scenes_of_policies() -> list[Scene]:
    """The scenes in which the ladder of policies is driven."""
    return load_suite(LADDER).scenes()


@lru_cache(maxsize=1)
def _code() -> str:
    """Names the code that measures: an answer of other code is not taken for one of this."""
    digest, root = sha256(), Path(drivewm.__file__).parent
    for file in sorted(root.rglob("*.py")):
        digest.update(file.relative_to(root).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def world_folder(world: str) -> Path:
    """Where the weights of a world lie. Raises InputError for one that has none."""
    if Path(world).is_dir():
        return Path(world)
    base, _, words = world.partition(":")
    hint = "dream, or a folder written by `drivewm train worldmodel`"
    if base == "raster":
        raise InputError("the world 'raster' is the reference itself: there is nothing to trust less", hint=hint)
    if words or base == "free":
        raise InputError(
            f"a card asks a world in every regime and with all steps, so {world!r} has no card of its own", hint=hint
        )
    if base == "dream":
        return EMBEDDED
    if base in names("drivewm.worlds"):
        ranks = "how it ranks policies is told by `drivewm compare --worlds`"
        raise InputError(f"the world {base!r} is a plug-in: a card needs weights that can be told and untold things", hint=ranks)
    raise InputError(f"there is no world {world!r}", hint=did_you_mean(world, ["dream"]) or hint)
