"""How a person gets onto a machine to install it: one file an installer."""
