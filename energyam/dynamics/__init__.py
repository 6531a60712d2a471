"""Dynamics: update rules, the one loop that runs them, and its answer."""
