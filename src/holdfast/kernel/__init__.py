"""What hashes fastest here: compiled C, code made by llvmlite, or hashlib; chosen and tested."""

MD5_LANES, SHA256_LANES = 8, 4
"""How many streams of each are hashed side by side."""
