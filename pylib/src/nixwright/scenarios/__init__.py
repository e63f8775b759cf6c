"""What checks do inside the machines, as typed functions that the NixOS test driver runs.

A scenario takes machines, named as the check's nodes are, and plain values after a `*`. `nixwright gen` copies its
source, with its helpers, into the check's own `.py`, so a scenario uses the standard library, the driver's names
(`nixwright.scenarios.driver`) and helpers in plain Python, and nothing else.
"""
