"""The updater: applies events, keeps capsules fresh, and sweeps after a change of model."""
