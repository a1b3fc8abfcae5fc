"""What the gate lets through and catches, on one page of Markdown."""

from __future__ import annotations

from pathlib import Path

from drivewm.evaluation.breaking import WHOLE
from drivewm.evaluation.broken import ASIDE_M, FROZEN_M, MATTERS_MOMENTS, MATTERS_PX, PALE, PARTED_M, TURNED_RAD, WAYS
from drivewm.evaluation.calibration import AIM, LEAST_CAUGHT, MOST_FALSE_VOIDS, NAMES
from drivewm.evaluation.gate import LOWER_IS_WORSE, Caught, Limits
from drivewm.evaluation.intervals import wilson
from drivewm.store import write_text

PAGE = "gate.md"
ABOUT = """\
Drives of the catalogue (a careful, a plain and a careless driver take turns) as the reference shows them, through the world's
autoencoder. The limits are set on one half of the scenarios and tried on the other; this table is of the drives tried. A kind's
drives are all those that could be broken in that way. Intervals are Wilson's, 95 %. "Spoke" counts the measures that called
drives void, the two that did most often."""
NOT_SHOWN = """\
What this does not show: drives broken only a little (an agent far away that is missing, half a metre of drift) may count. The
pictures broken are the reference's; a dream may be broken in ways that nobody has thought of. Where it is not the motion that is
broken, motion is not read either, so catches of these kinds are understated. Agents of one drive are not independent cases, so
the interval of removed agents is somewhat too narrow."""
LARGE = f"at least {MATTERS_PX} px (of 64 x 96) of it in one camera at {MATTERS_MOMENTS} judged moments or more"
COUNTED = {
    "shuffled actions": f"the two drives end at least {PARTED_M:g} m apart",
    "removed agent": f"{LARGE} hid no other agent and stood out by {PALE:g} grey levels; up to four of a drive",
    "added agent": f"{LARGE} hide no other agent and stand out likewise",
    "frozen picture": f"the ego goes on for at least {FROZEN_M:g} m",
    "slow drift": f"at the end by {ASIDE_M:g} m, or by {TURNED_RAD:.2f} rad",
}


def write_page(folder: Path, made: Limits) -> Path:
    """Writes gate.md into ``folder``."""
    origin, page = made.provenance, folder / PAGE
    counts = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in origin.settings.items())
    ids = ", ".join(f"{name} {value}" for name, value in origin.ids.items())
    before = ", ".join(f"{one.kind} {one.void} of {one.drives}" for one in made.set_on)
    lines = [
        "# The validity gate: what it lets through, what it catches",
        "",
        f"    drivewm gate {counts} --seed {origin.seed} --workers 2",
        "",
        f"{origin.created}, drivewm {origin.version} (commit {origin.commit}), {origin.device}; {ids}.",
        "",
        ABOUT,
        "",
        "| drives | tried | void | rate | wanted | spoke |",
        "|---|---|---|---|---|---|",
        *(_row(one, made.reasons.get(one.kind, {})) for one in made.tried_on),
        "",
        "How a drive is broken, and when it counts as a case:",
        "",
        *(f"- {kind}: {_said(kind)}" for kind in WAYS),
        "",
        "| measure | a drive is void |",
        "|---|---|",
        *(f"| {name} | {'below' if name in LOWER_IS_WORSE else 'above'} {getattr(made.thresholds, name):g} |" for name in NAMES),
        "",
        f"Where they are set, the strictest limits void at most {MOST_FALSE_VOIDS:.0%} of the whole drives, and the loosest",
        f"still catch {AIM:.0%} of what these catch of every kind; the limits lie half way.",
        f"Void of the drives they were set on: {before}.",
        "",
        NOT_SHOWN,
    ]
    write_text(page, "\n".join(lines) + "\n")
    return page


def _row(one: Caught, reasons: dict[str, int]) -> str:
    rate = wilson(one.void, one.drives)
    wanted = f"at most {MOST_FALSE_VOIDS:.0%}" if one.kind == WHOLE else f"at least {LEAST_CAUGHT:.0%}"
    most = sorted(reasons.items(), key=lambda item: -item[1])[:2]
    shown = f"{rate.value:.1%} [{rate.low:.1%}, {rate.high:.1%}]" if rate else "-"
    return f"| {one.kind} | {one.drives} | {one.void} | {shown} | {wanted} | {', '.join(f'{n} {c}' for n, c in most) or '-'} |"


def _said(kind: str) -> str:
    text = (WAYS[kind].cases.__doc__ or "").strip().rstrip(".")
    return f"{text[0].lower()}{text[1:]}" + (f"; {COUNTED[kind]}" if kind in COUNTED else "") + "."
