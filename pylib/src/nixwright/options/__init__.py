"""Settings, the option schema, and checking the one against the other."""
