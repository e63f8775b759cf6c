"""What a check is."""
