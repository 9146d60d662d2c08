"""Benchmarks that anyone can repeat: `python -m tests.benchmarks --help`, from the root of the checkout.

Each case runs its contenders in turn, for several rounds, in one run: only figures taken side by side are comparable.
What helps a rival is granted to it (its own clock, its defaults, a process for each core), and what each contender
stores stands beside its speed. The benchmarks measure and never assert, because a busy machine makes figures worse, not
wrong. pytest does not collect them.

They need Linux, where every address in 127/8 is loopback. The extra `bench` installs matplotlib, trustme and the Python
peers; nginx, wget2, openjdk-17-doc and postgresql-doc-15 are Debian packages; spider and better-sqlite3 come from npm.
Contenders that are not installed are named first, with the command that installs them.
"""
