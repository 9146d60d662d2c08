"""Tests: unit (pure rooms), integration (one room, real parts), acceptance (the command line), benchmarks."""
