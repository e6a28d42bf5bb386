"""crossdock makes container projects built for amd64 run on Arm."""

__version__ = "0.1.0"
