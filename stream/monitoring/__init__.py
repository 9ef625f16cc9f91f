"""Metrics, health, and an observer for whoever wants to know more."""
