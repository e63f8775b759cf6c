"""What a disk, or an image of one, really holds: read from its bytes, without writing one."""
