"""What several kinds of tests share."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # machines are noisy, and the one that runs this may be busy
settings.load_profile("untimed")
