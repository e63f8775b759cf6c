"""One file a part."""
