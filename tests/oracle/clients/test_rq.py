"""rq: a job queue on lists, hashes and sorted sets, with blocking pops, pub/sub for its workers' commands, and scripts."""

from __future__ import annotations

import datetime

import pytest
import redis
from rq import Queue, Retry, SimpleWorker
from rq.job import Job, JobStatus
from rq.registry import FailedJobRegistry, FinishedJobRegistry, ScheduledJobRegistry
from rq.timeouts import TimerDeathPenalty

from tests.oracle.clients.jobs import add, divide


class Worker(SimpleWorker):
    """Runs jobs in this process; signals belong to the test run."""

    death_penalty_class = TimerDeathPenalty

    def _install_signal_handlers(self) -> None:
        pass


@pytest.fixture
def connection(port: int) -> redis.Redis:
    return redis.Redis(port=port)


def work(connection: redis.Redis, *queues: Queue) -> None:
    Worker(list(queues), connection=connection).work(burst=True, logging_level="ERROR")


def test_jobs_run_in_order_and_keep_their_results(connection: redis.Redis) -> None:
    queue = Queue(connection=connection)
    jobs = [queue.enqueue(add, n, n) for n in range(20)]
    assert queue.count == 20 and queue.job_ids == [job.id for job in jobs]
    work(connection, queue)
    assert [job.latest_result().return_value for job in jobs] == [2 * n for n in range(20)]
    assert queue.count == 0 and FinishedJobRegistry(queue=queue).count == 20


def test_a_failed_job_is_kept_and_can_be_tried_again(connection: redis.Redis) -> None:
    queue = Queue(connection=connection)
    job = queue.enqueue(divide, 1, 0, retry=Retry(max=2))
    work(connection, queue)
    assert job.get_status() == JobStatus.FAILED
    assert FailedJobRegistry(queue=queue).get_job_ids() == [job.id]
    assert "ZeroDivisionError" in job.latest_result().exc_string
    FailedJobRegistry(queue=queue).requeue(job)
    assert queue.job_ids == [job.id]


def test_dependent_jobs_wait(connection: redis.Redis) -> None:
    queue = Queue(connection=connection)
    first = queue.enqueue(add, 1, 2)
    second = queue.enqueue(add, 3, 4, depends_on=first)
    third = queue.enqueue(add, 5, 6, depends_on=[first, second])
    assert third.get_status() == JobStatus.DEFERRED and queue.job_ids == [first.id]
    work(connection, queue)
    assert [j.latest_result().return_value for j in (first, second, third)] == [3, 7, 11]


def test_priorities_and_scheduled_jobs(connection: redis.Redis) -> None:
    high = Queue("high", connection=connection)
    low = Queue("low", connection=connection)
    low_job = low.enqueue(add, 1, 1)
    high_job = high.enqueue(add, 2, 2)
    later = low.enqueue_in(datetime.timedelta(hours=1), add, 3, 3)
    assert ScheduledJobRegistry(queue=low).get_job_ids() == [later.id]
    assert Queue.dequeue_any([high, low], timeout=None, connection=connection)[0].id == high_job.id
    assert Queue.dequeue_any([high, low], timeout=1, connection=connection)[0].id == low_job.id


def test_a_job_by_its_id(connection: redis.Redis) -> None:
    queue = Queue(connection=connection)
    job = queue.enqueue(add, 20, 22, meta={"who": "tester"}, result_ttl=60)
    work(connection, queue)
    again = Job.fetch(job.id, connection=connection)
    assert again.latest_result().return_value == 42 and again.meta == {"who": "tester"}
    assert 0 < connection.ttl(job.key) <= 60
    again.delete()
    assert not Job.exists(job.id, connection=connection)
