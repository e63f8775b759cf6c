"""What the checks do inside the VMs, as typed functions."""
