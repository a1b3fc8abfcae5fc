"""XML files from outside, read so that they can do no harm: no document types, no entities, no network, bounded size."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from lxml import etree

from drivewm.errors import InputError

MAX_BYTES = 20_000_000
MAX_DEPTH = 60
Element = Any  # lxml.etree._Element; the library has no types

_FORBIDDEN = re.compile(r"<!\s*(DOCTYPE|ENTITY)", re.I)


def read_xml(path: str | Path, root: str) -> Element:
    """The root element of a file, which must have the tag ``root``; raises `InputError` with file and line for anything else."""
    file = Path(path)
    if not file.is_file():
        raise InputError("is a folder, not a file" if file.is_dir() else "does not exist", file=file)
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {(error.strerror or str(error)).lower()}", file=file) from None
    if len(data) > MAX_BYTES:
        raise InputError(f"is larger than {MAX_BYTES // 1_000_000} MB", file=file)
    return parse_xml(data, file, root)


def parse_xml(data: bytes, file: Path, root: str) -> Element:
    """Like `read_xml` for bytes that were read already."""
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1"
    found = _FORBIDDEN.search(data.decode(encoding, errors="replace"))
    if found:
        line = data[: found.start()].count(b"\n") + 1
        raise InputError("document types and entities are refused", file=file, line=line, hint=f"leave out {found[0]}")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        tree: Element = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        reason = " ".join(str(error.msg or "syntax error").split())
        reason = re.sub(r", line \d+, column \d+.*$", "", reason)
        raise InputError(f"is not XML: {reason[:200]}", file=file, line=error.lineno or None) from None
    except (ValueError, LookupError) as error:
        raise InputError(f"is not XML: {' '.join(str(error).split())[:200]}", file=file) from None
    if tree.getroottree().docinfo.doctype:
        raise InputError("document types and entities are refused", file=file, line=1)
    if tag(tree) != root:
        raise InputError(f"begins with <{tag(tree)}>, not with <{root}>", file=file, line=tree.sourceline)
    _refuse_depth(tree, file)
    return tree


def _refuse_depth(root: Element, file: Path) -> None:
    level = [root]
    for _ in range(MAX_DEPTH):
        level = [child for element in level for child in element]
        if not level:
            return
    raise InputError(f"is nested more than {MAX_DEPTH} levels deep", file=file, line=level[0].sourceline)


def tag(element: Element) -> str:
    """The name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


def children(element: Element, *names: str) -> list[Element]:
    """Children with one of these tags (all when none is given), in the order of the file."""
    return [child for child in element if isinstance(child.tag, str) and (not names or tag(child) in names)]


def child(element: Element | None, *path: str) -> Element | None:
    """The element at the end of a way of tags, or None."""
    for name in path:
        element = None if element is None else next(iter(children(element, name)), None)
    return element


def real(element: Element, name: str, file: Path, default: float | None = None) -> float:
    """A finite number from an attribute; ``default`` where it is absent. Raises `InputError` with file and line."""
    raw = element.get(name)
    if raw is None and default is not None:
        return default
    try:
        value = float(raw)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value) or abs(value) > 1e12:
        reason = f"attribute '{name}' is missing" if raw is None else f"{name}={str(raw)[:40]!r} is not a number"
        raise InputError(reason, file=file, line=element.sourceline, place=tag(element))
    return value
