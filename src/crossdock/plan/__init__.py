"""Which strategy builds each stage for each platform, and why. Pure: nothing here runs anything."""
