"""PURE readers: bytes go in, records come out. Nothing here raises for what a server sent."""
