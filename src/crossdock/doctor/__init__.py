"""Looks at a machine, says which distribution it really is, what it lacks to build and run Arm images, and mends it."""
