"""Benchmarks that anyone can repeat: `python -m tests.benchmarks --help`, from the root of the checkout.

Each case runs its contenders in turn, several rounds, within one run: only what ran side by side is comparable. They
measure and never assert: a machine that is busy makes figures worse, not wrong. pytest does not collect them.

They need Linux, where every address of 127/8 is loopback. The extra `bench` brings matplotlib, trustme and the Python
peers; nginx, wget2, openjdk-17-doc and postgresql-doc-15 are Debian packages; spider comes from npm. Who is not
installed is named in the report, with what to do about it.
"""
