"""The ladder: policies of widely different skill by their recipes, `policies/ladder.yaml`, and the files that some need."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationError

from drivewm.config import runs_root, shipped_content
from drivewm.errors import InputError
from drivewm.evaluation.suite import Suite, load_suite
from drivewm.policies.impaired import SIGHT
from drivewm.policies.load import load_policy
from drivewm.protocols import Policy
from drivewm.scenarios.schema import Part
from drivewm.scenarios.source import read_source

Name = Annotated[str, StringConstraints(min_length=1, max_length=120)]
FILES = {".safetensors", ".onnx"}


class RungDocument(Part):
    policy: Name
    sees: Literal["pixels", "truth", "nothing"]
    quick: bool = Field(False, description="one of those that a quick look takes")
    control: bool = Field(False, description="it must stand at the bottom of those that see pixels")


class TrainedDocument(Part):
    """A small training of the large policy that is stopped at several ages: teacher-1.safetensors is the youngest."""

    ages: int = Field(ge=1, le=20)
    drives: int = Field(ge=1, le=1000, description="recorded before each age")
    steps: int = Field(ge=1, le=100_000, description="of each age")
    batch: int = Field(ge=1, le=1000)
    seed: int = Field(ge=0)


class LadderDocument(Part):
    name: Name
    about: Name
    suite: Name
    policies: tuple[RungDocument, ...] = Field(min_length=1)
    trained: TrainedDocument


@dataclass(frozen=True, slots=True)
class Rung:
    """A policy of the ladder: ``name`` as in the recipe, ``given`` as `load_policy` takes it."""

    name: str
    given: str
    sees: str  # "pixels", "truth" or "nothing"
    quick: bool = False
    control: bool = False

    @property
    def own_plans(self) -> bool:
        """Nothing but what it sees is worse than it was."""
        return all(word.partition("-")[0] in SIGHT for word in self.name.split(":")[1:])

    def policy(self) -> Policy:
        """Raises InputError where the policy is handed the truth and its recipe does not say so, or the other way round."""
        policy = load_policy(self.given)
        if policy.spec.privileged != (self.sees == "truth"):
            known = "the truth" if policy.spec.privileged else "no truth"
            raise InputError(f"the ladder says that {self.name} sees {self.sees}, but it is handed {known}")
        return policy


@dataclass(frozen=True, slots=True)
class Ladder:
    """``missing`` are policies whose files are not made."""

    suite: str
    rungs: tuple[Rung, ...]
    missing: tuple[str, ...]
    trained: TrainedDocument

    def scenes(self) -> Suite:
        """The suite that all drive, also one that comes with drivewm."""
        return load_suite(shipped_content("eval") / "suites" / f"{self.suite}.yaml", shipped_content("scenarios"))


def made_folder() -> Path:
    """Where `drivewm train ladder` puts the files of the ladder unless it is told otherwise."""
    return runs_root() / "ladder"


def load_ladder(path: str | Path | None = None, made: Path | None = None) -> Ladder:
    """The recipes in a file; files are looked for in ``made``.

    By default the ladder that comes with drivewm, whatever the workspace holds: a card must mean the same everywhere.
    """
    source = read_source(path or shipped_content("policies") / "ladder.yaml")
    try:
        document = LadderDocument.model_validate(source.tree)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise source.error(first["msg"], first["loc"], first.get("ctx", {}).get("hint")) from None
    rungs, missing = dict[str, Rung](), []
    for index, one in enumerate(document.policies):
        if one.policy in rungs:
            raise source.error(f"policy {one.policy!r} is given twice", ("policies", index))
        name, colon, words = one.policy.partition(":")
        file = (made or made_folder()) / name if Path(name).suffix in FILES else None
        if file and not file.is_file():
            missing.append(one.policy)
            continue
        given = f"{file or name}{colon}{words}"
        rungs[one.policy] = Rung(one.policy, given, one.sees, one.quick, one.control)
    return Ladder(document.suite, tuple(rungs.values()), tuple(missing), document.trained)
