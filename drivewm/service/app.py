"""The web application: one page, one connection per person, and who may have them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import HTMLResponse, PlainTextResponse, Response

from drivewm.service.drive import Drive
from drivewm.service.ride import Ride
from drivewm.service.seat import Seat

PAGE = Path(__file__).with_name("page.html")
MOST_SEATS = 3
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Access:
    """Who may come in: whoever has the token, or, without one, who calls this machine by a name that only it answers to.

    The name is asked for because a foreign page may let its own name point here (DNS rebinding).
    """

    token: str | None = None

    def admits(self, connection: Request | WebSocket) -> str | None:
        """Why a connection is refused; None when it is welcome."""
        host = connection.headers.get("host", "")
        if self.token is None:
            if _name(f"//{host}") not in LOOPBACK_NAMES:
                return "This machine is asked for by a name that is not its own."
        elif not secrets.compare_digest(connection.query_params.get("token", "").encode(), self.token.encode()):
            return "The address lacks the right token; take it as `drivewm drive` printed it."
        origin = connection.headers.get("origin")
        if isinstance(connection, WebSocket) and origin not in (None, f"http://{host}", f"https://{host}"):
            return "Another page may not drive here."
        return None


def _name(url: str) -> str | None:
    """The host that an address names; None where it is no address."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


@dataclass
class Hall:
    """All who drive at the moment. One thread computes for all, in turn: a network uses every core by itself."""

    ride: Ride
    access: Access
    store: Callable[[Drive], None] | None = None  # is given the drive of everybody who leaves
    seats: int = 0
    work: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "drive"))

    async def drive(self, socket: WebSocket) -> None:
        """One connection from greeting to goodbye."""
        refusal = self.access.admits(socket)
        if refusal is not None:
            await socket.close(1008, refusal)  # before it is accepted: the answer is 403
            return
        await socket.accept()
        if self.seats >= MOST_SEATS:
            await socket.send_json({"error": f"{MOST_SEATS} people drive already; try again when one has left."})
            await socket.close(1013, "all seats are taken")
            return
        self.seats += 1
        try:
            await self._seated(socket)
        finally:
            self.seats -= 1

    async def _seated(self, socket: WebSocket) -> None:
        loop = asyncio.get_running_loop()
        drive = await loop.run_in_executor(self.work, lambda: Drive(self.ride, keep=self.store is not None))
        try:
            await Seat(socket, self.work, drive).sit()
        finally:
            if self.store is not None:
                await loop.run_in_executor(self.work, self.store, drive)


def make_app(hall: Hall) -> FastAPI:
    """GET / is the page, WebSocket /drive the wheel; nothing else is served, and no file by its name."""
    app = FastAPI(
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )

    @app.get("/")
    def page(request: Request) -> Response:
        refusal = hall.access.admits(request)
        if refusal is not None:
            return PlainTextResponse(refusal, 403)
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data: blob:; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        headers = {
            "Content-Security-Policy": policy,
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        return HTMLResponse(PAGE.read_text(encoding="utf-8").replace("{{nonce}}", nonce), headers=headers)

    app.websocket("/drive")(hall.drive)
    return app
