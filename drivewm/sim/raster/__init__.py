"""The reference world: a small, tidy place drawn from exact state by a painter's algorithm."""

from drivewm.sim.raster.layout import Layout, layout
from drivewm.sim.raster.palette import PAINT_RGB, paint_index
from drivewm.sim.raster.render import Frame, render
from drivewm.sim.raster.world import RasterWorld

__all__ = ["PAINT_RGB", "Frame", "Layout", "RasterWorld", "layout", "paint_index", "render"]
