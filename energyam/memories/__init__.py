"""Memories: stored patterns and an energy over states."""
