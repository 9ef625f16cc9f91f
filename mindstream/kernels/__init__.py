"""Compiled code: what numba makes of loops that run for every item, kept between processes."""
