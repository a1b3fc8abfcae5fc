"""From a ride to an address that a browser can open."""

from __future__ import annotations

import errno
import ipaddress
import logging
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import uvicorn

from drivewm.errors import InputError
from drivewm.service.app import Access, Hall, make_app
from drivewm.service.drive import Drive
from drivewm.service.messages import LONGEST_MESSAGE
from drivewm.service.recording import Stored, store
from drivewm.service.ride import Ride

LEAVE_S = 120  # for those who drive when the program is stopped: their drives are stored in this time


@dataclass(frozen=True, slots=True)
class Place:
    """A port that is ours already, and the token that a foreign machine must show."""

    socket: socket.socket
    host: str
    token: str | None

    @property
    def url(self) -> str:
        host = socket.gethostname() if self.host in ("0.0.0.0", "::") else self.host
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self.socket.getsockname()[1]}/" + (f"?token={self.token}" if self.token else "")


def take_place(host: str, port: int) -> Place:
    """Take ``port`` (0: a free one) of ``host``; raises InputError when it is busy or the host is not this machine's."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (socket.gaierror, UnicodeError):
        raise InputError(f"there is no host {host!r}", hint="127.0.0.1 is this machine alone, 0.0.0.0 all its networks") from None
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
        listening.listen()
    except OSError as error:
        listening.close()
        reasons = {
            errno.EADDRINUSE: "is busy",
            errno.EACCES: "may not be used",
            errno.EADDRNOTAVAIL: "is on a host that is not this machine's",
        }
        hint = "choose another --port; 0 takes a free one"
        raise InputError(f"port {port} of {host} {reasons.get(error.errno or 0, 'cannot be used')}", hint=hint) from None
    local = ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback
    return Place(listening, host, None if local else secrets.token_urlsafe(16))


def serve(ride: Ride, place: Place, record: Path | None = None, told: Callable[[Stored | str], None] | None = None) -> None:
    """Serve until the program is interrupted. ``told`` hears of each drive that was stored as ``record``, or why it was not."""
    numbers = count(1)

    def keep(drive: Drive) -> None:
        assert record is not None
        number = next(numbers)
        film = record if number == 1 else record.with_stem(f"{record.stem}-{number}")
        try:
            stored: Stored | str | None = store(drive, film)
        except InputError as error:
            stored = str(error)
        if told is not None:
            told("the drive was too short to be stored" if stored is None else stored)

    hall = Hall(ride, Access(place.token), None if record is None else keep)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # complaints of clients that are no browsers
    settings = uvicorn.Config(
        make_app(hall),
        log_config=None,
        access_log=False,
        server_header=False,
        ws="websockets-sansio",
        ws_max_size=2 * LONGEST_MESSAGE,
        ws_per_message_deflate=False,  # pictures are compressed already
        limit_concurrency=64,
        timeout_graceful_shutdown=LEAVE_S,
    )
    uvicorn.Server(settings).run(sockets=[place.socket])
