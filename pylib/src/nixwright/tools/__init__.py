"""Every outside program."""
