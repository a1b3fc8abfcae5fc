"""Names of ours and of plug-ins resolve; a wrong name or a broken plug-in is one sentence."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivewm import registry
from drivewm.errors import InputError


@pytest.fixture
def plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package installed as pip would: a module and its dist-info with entry points."""
    (tmp_path / "good_plug_in.py").write_text("class Slow:\n    kind = 'slow'\n")
    (tmp_path / "bad_plug_in.py").write_text("import a_library_nobody_has\n")
    info = tmp_path / "some_plug_ins-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-plug-ins\nVersion: 1.0\n")
    points = "slow = good_plug_in:Slow\nbroken = bad_plug_in:Fast\nabsent = good_plug_in:Fast\nexpert = good_plug_in:Slow\n"
    (info / "entry_points.txt").write_text(f"[drivewm.policies]\n{points}")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("good_plug_in", "bad_plug_in"):
        sys.modules.pop(name, None)


def test_a_plug_in_is_found_by_its_entry_point(plug_in: Path) -> None:
    assert {"slow", "broken"} <= set(registry.names("drivewm.policies"))
    assert "good_plug_in" not in sys.modules, "listing names must load nothing"
    assert registry.resolve("drivewm.policies", "slow").kind == "slow"


def test_a_plug_in_that_fails_is_named_with_its_error(plug_in: Path) -> None:
    with pytest.raises(InputError) as caught:
        registry.resolve("drivewm.policies", "broken")
    assert str(caught.value) == (
        "bad_plug_in:Fast: policy plug-in 'broken' from package some-plug-ins cannot be loaded: "
        "ModuleNotFoundError: No module named 'a_library_nobody_has'"
    )
    with pytest.raises(InputError, match=r"policy plug-in 'absent' .* AttributeError"):
        registry.resolve("drivewm.policies", "absent")


def test_an_unknown_name_gets_a_suggestion_or_the_list(plug_in: Path) -> None:
    with pytest.raises(InputError, match=r"unknown policy 'slwo' \(did you mean 'slow'\?\)"):
        registry.resolve("drivewm.policies", "slwo")
    with pytest.raises(InputError, match=r"unknown policy 'zzzzzzz' \(known: .*slow"):
        registry.resolve("drivewm.policies", "zzzzzzz")


@pytest.mark.parametrize("group", sorted(registry.BUILT_IN))
def test_every_built_in_name_resolves(group: str) -> None:
    for name in registry.BUILT_IN[group]:
        assert callable(registry.resolve(group, name)), name


def test_a_plug_in_cannot_replace_a_built_in(plug_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.BUILT_IN["drivewm.policies"], "expert", "pathlib:Path")
    assert registry.resolve("drivewm.policies", "expert") is Path
    assert registry.names("drivewm.policies").count("expert") == 1
