"""H.264 video that every browser plays: yuv420p, index at the start of the file, written whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from drivewm.datatypes import Array
from drivewm.errors import InputError
from drivewm.store import atomic_write


@contextmanager
def video_writer(path: str | Path, rate_hz: float, *, quality: int = 20) -> Iterator[Callable[[Array], None]]:
    """Yield a function that appends one RGB picture [H, W, 3]; all must have one size (an odd edge is cut by a pixel).

    ``quality`` is x264's constant rate factor: lower is better and larger. Nothing is left behind if the block fails.
    """
    with (
        atomic_write(Path(path)) as temporary,
        av.open(str(temporary), "w", format="mp4", options={"movflags": "faststart"}) as container,
    ):
        stream = container.add_stream("h264", rate=Fraction(rate_hz).limit_denominator(1000))
        stream.pix_fmt, stream.options = "yuv420p", {"crf": str(quality), "preset": "veryfast"}
        stream.thread_count = 1

        def append(picture: Array) -> None:
            height, width = (side // 2 * 2 for side in picture.shape[:2])
            if not stream.codec_context.is_open:
                stream.height, stream.width = height, width
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[:height, :width]), format="rgb24")
            container.mux(stream.encode(frame))

        yield append
        container.mux(stream.encode(None))


def write_video(path: str | Path, pictures: Iterable[Array], rate_hz: float) -> Path:
    """Write pictures as one video."""
    with video_writer(path, rate_hz) as append:
        for picture in pictures:
            append(picture)
    return Path(path)


def read_video(path: str | Path, only: Collection[int] | None = None) -> NDArray[np.uint8]:
    """All pictures [T, H, W, 3] of a video, or ``only`` those with these numbers; InputError if the file is not one."""
    try:
        with av.open(str(path)) as container:
            frames = enumerate(islice(container.decode(video=0), None if only is None else max(only) + 1))
            return np.stack([frame.to_ndarray(format="rgb24") for i, frame in frames if only is None or i in only])
    except (av.FFmpegError, ValueError, IndexError) as error:
        raise InputError(f"not a readable video ({error})", file=path) from error


def video_frames(path: str | Path) -> int:
    """How many pictures a video holds, without decoding them; InputError if the file is not one."""
    try:
        with av.open(str(path)) as container:
            return sum(packet.size > 0 for packet in container.demux(video=0))
    except (av.FFmpegError, IndexError) as error:
        raise InputError(f"not a readable video ({error})", file=path) from error


def write_gif(path: str | Path, pictures: Iterable[Array], rate_hz: float) -> Path:
    """Write pictures as an endlessly repeating GIF for places that show no video, such as a README."""
    from PIL import Image

    frames = [Image.fromarray(p).convert("P", palette=Image.Palette.ADAPTIVE, colors=128) for p in pictures]
    with atomic_write(Path(path)) as temporary:
        frames[0].save(temporary, format="GIF", save_all=True, append_images=frames[1:], duration=round(1000 / rate_hz), loop=0)
    return Path(path)
