"""Captures onto the topic."""
