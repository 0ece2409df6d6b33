"""A household that never existed: its frames, its truth, and a broker to put them on."""
