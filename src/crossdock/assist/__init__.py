"""Native speed inside emulated builds: heavy programs of a foreign image run as native ones.

Three parts: the launcher in front of QEMU, which starts native programs (``launcher/``, ``emulator``); packs of native
programs, made by the build itself (``packs``); and the Dockerfile with the packs mounted (``dockerfile``).
"""
