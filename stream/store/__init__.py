"""Capsule stores: the contract, LMDB and Redis, and the states that they keep."""
