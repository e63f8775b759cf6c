"""What disko is told: partition tables, containers, file systems, pools; and the arithmetic of offsets."""
