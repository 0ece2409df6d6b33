"""A household that never existed, and a broker for machines without one."""
