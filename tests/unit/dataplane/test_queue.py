from forestflow.dataplane.queue import TwoLevelQueue


def test_user_requests_are_refused_when_full():
    queue = TwoLevelQueue(max_queued=2, max_backlog=1)
    assert [queue.offer_high(n) for n in range(3)] == [True, True, False]
    assert list(queue.high) == [0, 1]


def test_shadows_push_out_the_oldest_shadow():
    queue = TwoLevelQueue(max_queued=1, max_backlog=2)
    assert [queue.offer_low(n) for n in range(3)] == [None, None, 0]
    assert list(queue.low) == [1, 2]
    assert queue.dropped == 1
    assert len(queue) == 2


def test_a_lower_backlog_drops_the_oldest_at_once():
    queue = TwoLevelQueue(max_queued=1, max_backlog=4)
    for n in range(4):
        queue.offer_low(n)
    assert queue.limit_low(1) == [0, 1, 2]
    assert (queue.limit_low(2), queue.offer_low(4), queue.offer_low(5)) == ([], None, 3)
    assert (list(queue.low), queue.dropped) == ([4, 5], 4)


def test_a_backlog_of_zero_takes_no_shadow():
    queue = TwoLevelQueue(max_queued=1, max_backlog=0)
    assert queue.offer_low("s") == "s"
    assert (len(queue), queue.dropped) == (0, 1)
