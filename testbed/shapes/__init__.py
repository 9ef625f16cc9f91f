"""Records of many shapes with invented ids, as topics have them, and what must come of each."""

from testbed.shapes.plain import PLAIN
from testbed.shapes.refused import REFUSED
from testbed.shapes.shape import Shape
from testbed.shapes.times import TIMES_AND_KEYS
from testbed.shapes.trackers import TRACKERS

__all__ = ["SHAPES"]

SHAPES: dict[str, Shape] = {**PLAIN, **TIMES_AND_KEYS, **TRACKERS, **REFUSED}
