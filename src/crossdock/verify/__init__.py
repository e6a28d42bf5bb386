"""The gate: does every platform of an image hold what its label says?"""
