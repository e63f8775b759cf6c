"""What a device is told at first boot, and the program that takes it: standard library only, and nothing of nixwright.

`nixwright.parts.provisioning` emits the program as one file, made of what `program.main` uses of this room. The same
functions say on the workstation what the device would say.
"""
