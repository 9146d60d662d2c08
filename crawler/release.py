"""Which release this is. The package is built with this version; to ask its metadata would take 10 ms of each start."""

VERSION = "0.2.0"
