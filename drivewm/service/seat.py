"""One person's connection: reads what the page asks, drives in the pace of the cameras, sends what is seen."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from concurrent.futures import Executor
from dataclasses import dataclass, field

from fastapi import WebSocket, WebSocketDisconnect
from fastapi.websockets import WebSocketState

from drivewm.datatypes import Light, Weather
from drivewm.errors import InputError
from drivewm.service.drive import Drive
from drivewm.service.messages import frame_message, greeting, read_message

IDLE_S = 120.0  # without a word from the page the drive is paused
MOST_MISTAKES = 20  # then the connection is closed
MOST_WAITING = 16  # deeds that wait for the next frame; what is beyond is dropped


@dataclass
class Seat:
    """Who sits at the wheel. ``work`` runs everything that computes, so that the server goes on answering."""

    socket: WebSocket
    work: Executor
    drive: Drive
    keys: frozenset[str] = frozenset()
    number: int = 0
    paused: bool = False
    heard_s: float = field(default_factory=time.monotonic)
    deeds: list[str] = field(default_factory=list)
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    sent_s: deque[float] = field(default_factory=lambda: deque(maxlen=11))

    async def sit(self) -> None:
        """Until the person leaves. What went wrong while computing is raised."""
        tasks = [asyncio.create_task(part()) for part in (self._listen, self._go)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            if (error := task.exception()) is not None and not self._left(error):
                raise error

    async def _send(self, message: dict[str, object]) -> None:
        await self.socket.send_text(json.dumps(message))

    async def _listen(self) -> None:
        mistakes = 0
        while mistakes < MOST_MISTAKES:
            try:
                asked = read_message(await self.socket.receive_text())
            except KeyError:
                mistakes += 1
                await self._send({"error": "a message is text"})
                continue
            except InputError as error:
                mistakes += 1
                await self._send({"error": str(error)})
                continue
            self.number, self.heard_s = max(self.number, asked.number), time.monotonic()
            if asked.keys is not None:
                self.keys = asked.keys
            elif asked.deed is not None and len(self.deeds) < MOST_WAITING:
                self.deeds.append(asked.deed)
            self.woken.set()
        await self.socket.close(1008, "too many messages that nobody can read")

    async def _go(self) -> None:
        await self._send(greeting(self.drive))
        period_s, due_s = 1.0 / self.drive.rig.rate_hz, time.monotonic()
        while True:
            loop, number, deeds, self.deeds = asyncio.get_running_loop(), self.number, self.deeds, []
            rate_hz = (len(self.sent_s) - 1) / (self.sent_s[-1] - self.sent_s[0]) if len(self.sent_s) > 1 else 0.0
            complaints = await loop.run_in_executor(self.work, self._obey, self.keys, deeds)
            extra = {"number": number, "paused": self.paused, "frames_per_s": round(rate_hz, 2)}
            await self.socket.send_bytes(await loop.run_in_executor(self.work, frame_message, self.drive, extra))
            for complaint in complaints:
                await self._send({"error": complaint})
            if self.paused or self.drive.moment.ended:
                self.sent_s.clear()
                await self._rest()
                due_s = time.monotonic()
                continue
            self.sent_s.append(time.monotonic())
            due_s = max(due_s + period_s, time.monotonic())
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    async def _rest(self) -> None:
        """Nothing moves until something is asked; held keys alone do not count."""
        while not self.deeds:
            self.woken.clear()
            await self.woken.wait()

    def _obey(self, keys: frozenset[str], deeds: list[str]) -> list[str]:
        """Do what was asked, then drive one frame on, but show first where one restarts; returns what could not be done."""
        complaints = []
        for deed in deeds:
            try:
                self._do(deed)
            except InputError as error:
                complaints.append(str(error))
        if time.monotonic() - self.heard_s > IDLE_S:
            self.paused = True
        if not self.paused and not {"restart", "back"} & set(deeds):
            self.drive.advance(keys)
        return complaints

    def _do(self, deed: str) -> None:
        drive, sky = self.drive, self.drive.conditions
        if deed == "restart":
            drive.restart()
        elif deed == "back":
            drive.back()
        elif deed == "weather":
            drive.change_sky(weather=list(Weather)[(list(Weather).index(sky.weather) + 1) % len(Weather)])
        elif deed == "light":
            drive.change_sky(light=list(Light)[(list(Light).index(sky.light) + 1) % len(Light)])
        elif deed == "regime":
            drive.change_regime()
        else:
            self.paused = not self.paused

    def _left(self, error: BaseException) -> bool:
        """Whether it is only that the person has gone; sending to somebody who has is a RuntimeError of starlette."""
        gone = WebSocketState.DISCONNECTED in (self.socket.client_state, self.socket.application_state)
        return isinstance(error, WebSocketDisconnect) or (gone and isinstance(error, RuntimeError))
