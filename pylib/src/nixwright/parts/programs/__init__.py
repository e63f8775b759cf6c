"""Programs that run on a board, as they are written beside the modules that use them."""
