"""Errors that a user can cause. Each is one sentence that names the file, the place in it, and what would be right."""

from __future__ import annotations

from pathlib import Path


class InputError(ValueError):
    """Bad input from outside: a file, an argument, a plug-in. The command line prints it and exits with code 2."""

    def __init__(
        self,
        reason: str,
        *,
        file: str | Path | None = None,
        line: int | None = None,
        place: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.reason, self.file, self.line, self.place, self.hint = reason, file, line, place, hint
        where = "" if file is None else str(file) + (f":{line}" if line is not None else "")
        parts = [part for part in (where, place, reason) if part]
        super().__init__(": ".join(parts) + (f" ({hint})" if hint else ""))


def did_you_mean(word: str, known: list[str]) -> str | None:
    """A hint naming the closest known words, or None when nothing is close."""
    from difflib import get_close_matches

    close = get_close_matches(word, known, n=2, cutoff=0.5)
    return "did you mean " + " or ".join(repr(name) for name in close) + "?" if close else None
