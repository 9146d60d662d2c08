"""PURE decisions: no await, no clock, no I/O. The web's facts and the user's wishes go in, a verdict comes out."""
