"""Installing a host on a machine that ssh reaches: what is looked at before, the steps as data, and running them."""
