"""Behaviour events in, fresh interest capsules out."""
