"""Rankers, the cases they are evaluated on, their metrics, and the gate before a new bundle."""
