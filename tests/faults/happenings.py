"""What happens to a cluster. Each waits until the crawl has got over it, as far as that can be seen from outside."""

from __future__ import annotations

import signal
import time

from tests.faults.cluster import EPOCH_BITS, LEASE_S, Cluster, Worker
from tests.postgres.instance import Instance
from tests.postgres.proxy import Trap

FENCE = "UPDATE parts AS p"
NEWS = "INSERT INTO urls"
_QUIET_S = 0.15  # what the claims of some partitions take beyond the lease on a machine that does nothing else
_LOOKS = 5


def kill(cluster: Cluster) -> None:
    """A process is gone, without a word."""
    worker = _a_worker(cluster)
    parts = cluster.parts_of(worker)
    worker.is_faulty = True
    began = time.monotonic()
    worker.process.kill()
    worker.process.wait()
    cluster.say(f"killed {worker.name}, which owned {len(parts)}")
    _taken_over(cluster, parts, worker, began)


def join(cluster: Cluster) -> None:
    """One more."""
    joined(cluster, cluster.join(f"w{len(cluster.workers)}"))


def joined(cluster: Cluster, worker: Worker) -> None:
    """Wait until it has its share."""
    cluster.wait(lambda: cluster.parts_of(worker) or cluster.is_over())
    assert cluster.parts_of(worker), "the crawl ended before the worker had its share"
    cluster.say(f"{worker.name} joined, and owns {len(cluster.parts_of(worker))}")


def drain(cluster: Cluster) -> None:
    """One of several is asked to leave: nothing of what it did is done again."""
    cluster.wait(lambda: sum(bool(cluster.parts_of(worker)) for worker in _running(cluster)) > 1)
    worker = _a_worker(cluster)
    worker.is_needed = False
    began = time.monotonic()
    worker.send(signal.SIGTERM)
    cluster.wait(lambda: worker.process.poll() is not None)
    assert worker.process.returncode == 128 + signal.SIGTERM, worker.said()
    cluster.say(f"drained {worker.name} in {time.monotonic() - began:.2f} s")


def stop_for_long(cluster: Cluster) -> None:
    """A machine stands still for longer than its lease, and then goes on with what it was about to do."""
    worker = _a_worker(cluster)
    _frozen(cluster, worker, "anywhere")


def freeze_between_news_and_results(cluster: Cluster) -> None:
    """It has told of new URLs; then it stands still, and is late with the pages that named them."""
    worker = _by_proxy(cluster)
    trap = _trap(worker, NEWS, is_answered=True)
    _caught(cluster, trap)
    _frozen(cluster, worker, "between news and results", trap)


def freeze_behind_the_fence(cluster: Cluster) -> None:
    """It stands still in a transaction, with its partitions' rows locked."""
    worker = _by_proxy(cluster)
    trap = _trap(worker, FENCE, is_answered=True)
    _caught(cluster, trap)
    _frozen(cluster, worker, "behind the fence", trap)


def lose_a_commit_s_answer(cluster: Cluster) -> None:
    """It has happened, but the worker is not told so."""
    worker = _by_proxy(cluster)
    worker.is_faulty = True
    trap = _trap(worker, "^COMMIT", after=FENCE, is_answered=True)
    _caught(cluster, trap)
    trap.cut()
    cluster.say(f"the answer to a commit of {worker.name} is lost")


def take_the_link_down(cluster: Cluster) -> None:
    """Nothing passes between a worker and the server, for longer than its lease."""
    worker = _by_proxy(cluster)
    assert worker.proxy is not None
    parts = cluster.parts_of(worker)
    epochs = _epochs(cluster, parts)
    worker.is_faulty = True
    began = time.monotonic()
    worker.proxy.stall()
    cluster.say(f"the link of {worker.name}, which owns {len(parts)}, is down")
    _taken_over(cluster, parts, worker, began)
    _stores_no_more(cluster, epochs)
    worker.proxy.resume()


def restart(cluster: Cluster, server: Instance) -> None:
    """The server crashes, and is started again."""
    _all_faulty(cluster)
    server.stop("immediate")
    cluster.say("the server has crashed")
    server.start()
    fetched = cluster.fetched()
    cluster.wait(lambda: cluster.fetched() > fetched or cluster.is_over())
    cluster.say("it is back, and pages are stored")


def promote(cluster: Cluster, primary: Instance, standby: Instance) -> None:
    """The primary's machine is gone; its synchronous standby becomes the primary."""
    _all_faulty(cluster)
    primary.kill()
    standby.promote()
    fetched = cluster.fetched()
    cluster.wait(lambda: cluster.fetched() > fetched or cluster.is_over())
    cluster.say("the standby is the primary, and pages are stored")


# --- how --------------------------------------------------------------------------------------------------------------


def _a_worker(cluster: Cluster, *, by_proxy: bool = False) -> Worker:
    """The one that owns most of those that run."""
    running = [worker for worker in _running(cluster) if worker.proxy is not None or not by_proxy]
    return max(running, key=lambda worker: len(cluster.parts_of(worker)))


def _running(cluster: Cluster) -> list[Worker]:
    return [worker for worker in cluster.workers if worker.process.poll() is None and worker.is_needed]


def _by_proxy(cluster: Cluster) -> Worker:
    """The one that owns most of those whose connections pass by us, once there is one."""
    cluster.wait(lambda: any(cluster.parts_of(worker) for worker in _running(cluster) if worker.proxy is not None))
    worker = _a_worker(cluster, by_proxy=True)
    assert worker.proxy is not None
    return worker


def _trap(worker: Worker, statement: str, *, after: str | None = None, is_answered: bool) -> Trap:
    assert worker.proxy is not None
    return worker.proxy.trap(statement, after=after, is_answered=is_answered)


def _caught(cluster: Cluster, trap: Trap) -> None:
    cluster.wait(lambda: trap.is_caught or cluster.is_over())
    assert trap.is_caught, "the crawl ended before the moment came"


def _frozen(cluster: Cluster, worker: Worker, where: str, trap: Trap | None = None) -> None:
    """Until others own what was its own; then it goes on, and nothing of what it had fetched is stored."""
    parts = cluster.parts_of(worker)
    epochs = _epochs(cluster, parts)
    worker.is_faulty = True
    began = time.monotonic()
    worker.send(signal.SIGSTOP)
    if trap is not None:
        trap.release()
    cluster.say(f"{worker.name}, which owns {len(parts)}, stands still {where}")
    _taken_over(cluster, parts, worker, began)
    _stores_no_more(cluster, epochs)
    worker.send(signal.SIGCONT)


def _epochs(cluster: Cluster, parts: set[int]) -> list[tuple[int, int]]:
    """Under which the owner of these stores what it fetches."""
    return [(part, epoch) for part, epoch in cluster.ask("SELECT part, epoch FROM parts") if part in parts]


def _stores_no_more(cluster: Cluster, epochs: list[tuple[int, int]]) -> None:
    """From now on nobody stores anything under these; in the end that is checked."""
    under = "SELECT count(*) FROM fetches AS f JOIN unnest(?::int[], ?::bigint[]) AS e (part, epoch) USING (part)"
    sql, parameters = (
        f"{under} WHERE f.id >> {EPOCH_BITS} = e.epoch",
        [list(column) for column in zip(*epochs, strict=True)],
    )
    stored = cluster.ask(sql, *parameters)

    def check() -> None:
        assert cluster.ask(sql, *parameters) == stored, "what a worker stored after it had lost its partitions"

    cluster.checks.append(check)


def _all_faulty(cluster: Cluster) -> None:
    for worker in cluster.workers:
        worker.is_faulty = True


def _taken_over(cluster: Cluster, parts: set[int], worker: Worker, began: float) -> None:
    """Within one lease. Who takes over needs some statements after its end, and so do we to see it: each of ours may
    take as long as the slowest did that we saw, on a machine that is as busy as this one is now.
    """
    look_s = cluster.wait_until_taken_over(parts, worker)
    took = time.monotonic() - began
    cluster.take_overs.append(took)
    cluster.say(f"all {len(parts)} taken over after {took:.2f} s; our slowest look took {look_s:.2f} s")
    assert took <= LEASE_S + _QUIET_S + _LOOKS * look_s
