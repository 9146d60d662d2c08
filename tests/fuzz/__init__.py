"""Coverage-guided fuzzing of all that parses bytes: `python -m tests.fuzz`. The unit tests share its invariants."""
