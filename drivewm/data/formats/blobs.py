"""The files beside the tables: images without distortion, and sweeps as nuScenes keeps them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from drivewm.data.formats.drive import Camera
from drivewm.datatypes import Array
from drivewm.errors import InputError

_JPEG_QUALITY = 95
_NO_RING = -1.0  # the fifth value of a point is the number of its laser, which sources do not tell


def image_suffix(camera: Camera, file: Path | None) -> str:
    """How the name of a converted image ends."""
    return ".jpg" if file is None or len(camera.distortion) else file.suffix.lower().replace(".jpeg", ".jpg")


class Lens:
    """Takes the images of one camera over, straight lines made straight."""

    def __init__(self, camera: Camera, *, link: bool) -> None:
        self._camera, self._link = camera, link
        self._maps = _maps(camera) if len(camera.distortion) else None

    def take(self, file: Path, to: Path) -> None:
        """Writes the image ``file`` as ``to``; raises `InputError` when it is no image or has another size than the camera."""
        try:
            with Image.open(file) as image:
                width, height = image.size
        except (UnidentifiedImageError, OSError) as error:
            raise InputError("is no image", file=file) from error
        if (height, width) != tuple(self._camera.size_px):
            reason = f"is {height}x{width} pixels, the calibration of {self._camera.name} is for {_shown(self._camera)}"
            raise InputError(reason, file=file)
        if self._maps is not None:
            to.write_bytes(self._straightened(file))
            return
        if self._link:
            try:
                os.link(file.resolve(), to)
                return
            except OSError:  # another disk, or one that has no links
                pass
        shutil.copyfile(file, to)

    def _straightened(self, file: Path) -> bytes:
        image = cv2.imread(str(file), cv2.IMREAD_COLOR)
        if image is None:
            raise InputError("is not an image we can decode", file=file)
        assert self._maps is not None
        straight = cv2.remap(image, *self._maps, cv2.INTER_LINEAR)
        return bytes(cv2.imencode(".jpg", straight, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1])


def _shown(camera: Camera) -> str:
    return "x".join(map(str, camera.size_px))


def _maps(camera: Camera) -> tuple[Array, Array]:
    """Where each pixel of the straight image lies in the one that was taken; the intrinsics stay the same."""
    intrinsic, bent = np.asarray(camera.intrinsic, np.float64), np.asarray(camera.distortion, np.float64)
    made = cv2.fisheye.initUndistortRectifyMap if camera.fisheye else cv2.initUndistortRectifyMap
    across, down = made(intrinsic, bent, np.eye(3), intrinsic, tuple(camera.size_px)[::-1], cv2.CV_32FC1)
    return across, down


def write_sweep(points: Array, to: Path) -> None:
    """Points [P, 4] as nuScenes keeps them: five float32 each, x, y, z, intensity, ring."""
    out = np.full((len(points), 5), _NO_RING, np.float32)
    out[:, :4] = points
    to.write_bytes(out.tobytes())
