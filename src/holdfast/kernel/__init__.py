"""What hashes fastest here: compiled C, code made by llvmlite, or hashlib; chosen and tested."""
