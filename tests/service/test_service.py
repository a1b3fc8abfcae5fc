"""The service as browsers, scripts and strangers meet it, at a real port."""

from __future__ import annotations

import json
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import cv2
import numpy as np
import pytest
import uvicorn
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from drivewm.cli import run
from drivewm.errors import InputError
from drivewm.service.app import MOST_SEATS, Access, Hall, make_app
from drivewm.service.messages import LONGEST_MESSAGE, read_message, rows_on_car
from drivewm.service.ride import Ride
from drivewm.service.serving import take_place
from drivewm.sim.rigs import nuscenes_rig


@contextmanager
def served(ride: Ride, token: str | None = None) -> Iterator[str]:
    """The address of a server that runs while the block does."""
    place = take_place("127.0.0.1", 0)
    app = make_app(Hall(ride, Access(token)))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="websockets-sansio", ws_max_size=2 * LONGEST_MESSAGE))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place.socket]})
    thread.start()
    try:
        yield f"127.0.0.1:{place.socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=30)


@contextmanager
def seat(address: str, query: str = "", **options: Any) -> Iterator[ClientConnection]:
    with connect(f"ws://{address}/drive{query}", **options) as client:
        yield client


def frame(client: ClientConnection) -> tuple[dict[str, Any], bytes, bytes]:
    """The next frame: figures, picture of the cameras, picture from above."""
    while isinstance(told := client.recv(timeout=30), str):
        pass
    length = struct.unpack(">I", told[:4])[0]
    head = json.loads(told[4 : 4 + length])
    pictures = told[4 + length :]
    return head, pictures[: head["cameras_bytes"]], pictures[head["cameras_bytes"] :]


def complaint(client: ClientConnection) -> str:
    while not isinstance(told := client.recv(timeout=30), str) or "error" not in told:
        pass
    return str(json.loads(told)["error"])


def drive_until(client: ClientConnection, t_s: float) -> dict[str, Any]:
    while (head := frame(client)[0])["t_s"] < t_s - 1e-6:
        pass
    return head


def test_keys_steer_the_car_of_whoever_holds_them(ride: Ride) -> None:
    with served(ride) as address, seat(address) as left, seat(address) as right:
        for client, key in ((left, "left"), (right, "right")):
            client.send(json.dumps({"keys": [key, "up"], "number": 5}))
        turned = {key: drive_until(client, 1.0) for client, key in ((left, "left"), (right, "right"))}
        assert turned["left"]["xy_yaw"][2] > 0.05 > -0.05 > turned["right"]["xy_yaw"][2]
        assert turned["left"]["wheel_deg"] > 10 and turned["left"]["number"] == 5 and turned["left"]["speed_kmh"] > 36


def test_a_frame_shows_every_camera_and_the_view_from_above(raster_ride: Ride) -> None:
    with served(raster_ride) as address, seat(address) as client:
        hello = json.loads(client.recv(timeout=30))
        assert isinstance(hello, dict) and hello["rows"] == [[0, 1, 2], [3, 4, 5]] and len(hello["cameras"]) == 6
        cameras, above = (cv2.imdecode(np.frombuffer(part, np.uint8), cv2.IMREAD_COLOR) for part in frame(client)[1:])
        assert cameras.shape == (6 * 32, 48, 3) and above.shape[0] == above.shape[1]
        assert all(part.std() > 5 for part in (*np.split(cameras, 6), above)), "no picture is blank"


def test_deeds_are_done(dream_ride: Ride) -> None:
    with served(dream_ride) as address, seat(address) as client:
        first = drive_until(client, 0.6)
        for number, deed in enumerate(("weather", "light", "regime"), start=1):
            client.send(json.dumps({"do": deed, "number": number}))
        while (head := frame(client)[0])["number"] < 3:
            pass
        assert (head["weather"], head["light"], head["regime"]) == ("rain", "dusk", "free") and "free" in head["world"]
        client.send('{"do": "restart", "number": 4}')
        while (head := frame(client)[0])["number"] < 4:
            pass
        assert head["t_s"] == 0.0 and head["weather"] == first["weather"]
        client.send('{"do": "pause"}')
        while not (head := frame(client)[0])["paused"]:
            pass
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.6)
        client.send('{"do": "pause"}')
        assert drive_until(client, head["t_s"] + 0.2)["paused"] is False


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "JSON"),
        ("[" * 400, "JSON"),
        ("[]", "a message is"),
        ("{}", "a message is"),
        ('{"keys": [], "do": "back"}', "a message is"),
        ('{"keys": [], "path": "/etc/passwd"}', "a message is"),
        ('{"keys": "left"}', "list"),
        ('{"keys": ["left", "fly"]}', "list"),
        ('{"keys": [["left"]]}', "list"),
        ('{"do": "restrt"}', "did you mean 'restart'"),
        ('{"do": ["restart"]}', "unknown deed"),
        ('{"do": {"a": 1}}', "unknown deed"),
        ('{"do": "back", "number": -1}', "number"),
        ('{"do": "back", "number": true}', "number"),
        ('{"do": "back", "number": 1e999}', "number"),
        ('{"do": "' + "x" * 600 + '"}', "at most"),
    ],
)
def test_a_bad_message_is_answered_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as refused:
        read_message(text)
    assert "\n" not in str(refused.value)


def test_bad_messages_harm_nobody(raster_ride: Ride) -> None:
    with served(raster_ride) as address:
        with seat(address) as client:
            for message, sentence in ((b"\xff\xfe", "text"), ("{", "JSON"), ('{"do": "regime"}', "one regime only")):
                client.send(message)
                assert sentence in complaint(client)
            now_s = frame(client)[0]["t_s"]
            assert drive_until(client, now_s + 0.4)["t_s"] > now_s
            client.send("x" * 5000)
            with pytest.raises(ConnectionClosed):
                drive_until(client, 1e9)
        with seat(address) as client:
            for _ in range(25):
                client.send("{")
            with pytest.raises(ConnectionClosed, match="nobody can read"):
                drive_until(client, 1e9)
        with seat(address) as client:
            drive_until(client, 0.4)


def test_only_so_many_drive_at_once(raster_ride: Ride) -> None:
    with served(raster_ride) as address:
        with ExitStack() as everybody:
            clients = [everybody.enter_context(seat(address)) for _ in range(MOST_SEATS)]
            for client in clients:
                frame(client)
            with seat(address) as late:
                assert "drive already" in complaint(late)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with seat(address) as next_one:
                if "cameras" in str(next_one.recv(timeout=30)):
                    return
            time.sleep(0.1)
        pytest.fail("no seat became free")


def status(address: str, path: str, **headers: str) -> int:
    try:
        with urlopen(Request(f"http://{address}{path}", headers=headers), timeout=30) as answer:
            return int(answer.status)
    except HTTPError as error:
        return int(error.code)


def test_strangers_are_sent_away(raster_ride: Ride) -> None:
    with served(raster_ride) as address:
        assert status(address, "/") == 200 == status(address, "/", Host="localhost:80")
        assert status(address, "/", Host="rebound.example:80") == status(address, "/", Host="[::1") == 403
        for path in (
            "/page.html",
            "/..%2f..%2fpyproject.toml",
            "/%2e%2e/%2e%2e/etc/passwd",
            "//etc/passwd",
            "/docs",
            "/openapi.json",
        ):
            assert status(address, path) == 404, path
        for headers in ({"Origin": "http://elsewhere.example"}, {"Origin": "null"}, {"Origin": f"http://{address}.example"}):
            with pytest.raises(InvalidStatus, match="403"), seat(address, additional_headers=headers):
                pass
        with seat(address, additional_headers={"Origin": f"http://{address}"}) as client:
            frame(client)


def test_a_token_is_asked_for_where_there_is_one(raster_ride: Ride) -> None:
    with served(raster_ride, token="sesame") as address:
        assert status(address, "/") == status(address, "/?token=sesam") == status(address, "/?token=%F0") == 403
        assert status(address, "/?token=sesame", Host="car.example") == 200
        with pytest.raises(InvalidStatus, match="403"), seat(address):
            pass
        with seat(address, "?token=sesame") as client:
            frame(client)


def test_beyond_this_machine_an_address_has_a_token() -> None:
    for host, guarded in (("127.0.0.1", False), ("localhost", False), ("0.0.0.0", True)):
        place = take_place(host, 0)
        with place.socket:
            assert (place.token is not None and len(place.token) >= 20) is guarded
            assert ("?token=" in place.url) is guarded and "0.0.0.0" not in place.url


def test_a_port_that_is_busy_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        for arguments, told in (
            (["--port", str(busy.getsockname()[1])], "is busy"),
            (["--host", "no.such.host.invalid"], "there is no host"),
            (["--world", "raster", "--regime", "free", "--port", "0"], "is no dream"),
            (["--regime", "fre"], "did you mean 'free'"),
            (["--record", "drive.gif"], "a film ends in .mp4"),
        ):
            assert run(["drive", *arguments]) == 2
            seen = capsys.readouterr()
            assert seen.out == "" and seen.err.count("\n") == 1 and told in seen.err, seen.err


def test_cameras_stand_on_the_page_as_they_sit_on_the_car() -> None:
    rig = nuscenes_rig()
    order = [4, 2, 0, 5, 1, 3]
    mixed = type(rig)(
        tuple(rig.names[i] for i in order), rig.intrinsics[order], rig.ego_from_camera[order], rig.size_px, rig.rate_hz
    )
    assert [[mixed.names[v].removeprefix("CAM_") for v in row] for row in rows_on_car(mixed)] == [
        ["FRONT_LEFT", "FRONT", "FRONT_RIGHT"],
        ["BACK_LEFT", "BACK", "BACK_RIGHT"],
    ]


def test_a_drive_is_stored_when_the_driver_leaves_or_the_program_stops(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = tmp_path / "mine.mp4"
    command = [sys.executable, "-c", "from drivewm.cli import main; main()", "drive", "calm.green_light", "--world", "raster"]
    with subprocess.Popen(
        [*command, "--port", "0", "--json", "--record", str(film)], stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        url = json.loads(program.stdout.readline())["url"]
        with connect(url.replace("http", "ws") + "drive") as driver:
            driver.send('{"keys": ["left"]}')
            drive_until(driver, 1.2)
        with connect(url.replace("http", "ws") + "drive") as driver:
            drive_until(driver, 1.2)
            program.send_signal(signal.SIGINT)
            with pytest.raises(ConnectionClosed):
                drive_until(driver, 1e9)
        assert program.wait(timeout=120) == 0 and program.stdout.read() == ""
    assert sorted(path.name for path in tmp_path.glob("*.mp4")) == ["mine-2.mp4", "mine.mp4"]
    assert run(["replay", str(tmp_path), "--json"]) == 0
    judged = json.loads(capsys.readouterr().out)
    assert judged["replayed"] == 2 and judged["changed"] == 0
