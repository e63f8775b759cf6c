"""Python source as text."""
