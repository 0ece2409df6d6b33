"""Captures onto the topic: from files, and from a card that listens."""
