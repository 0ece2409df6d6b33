"""Asking the lake about one device, following a table, and both by HTTP."""
