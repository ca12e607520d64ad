"""When runtimes are told that they have mail."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tradewind.model.keys import RuntimeId
from tradewind.store.doorbell import PAUSE_S, Doorbell
from tradewind.testing.virtual_time import VirtualTime

mails = st.lists(st.tuples(st.sampled_from([RuntimeId(1), RuntimeId(2)]), st.sampled_from([0.0, 0.001, 0.003, 0.02])))


@given(mails)
def test_every_mail_is_announced_soon_and_nobody_is_told_twice_in_a_pause(
    sent: list[tuple[RuntimeId, float]],
) -> None:
    time = VirtualTime()
    loop = time.new_loop()
    told: list[tuple[RuntimeId, float]] = []

    async def ring(owner: RuntimeId) -> None:
        told.append((owner, time.seconds))

    bell = Doorbell(ring)
    committed: list[tuple[RuntimeId, float]] = []
    sending: list[asyncio.Task[None]] = []

    async def send(owner: RuntimeId) -> None:
        at_once = owner not in bell.resting()
        committed.append((owner, time.seconds))
        if at_once:
            told.append((owner, time.seconds))
        bell.sent(owner, told=at_once)

    for owner, pause in sent:
        sending.append(loop.create_task(send(owner)))
        time.pass_by([loop], pause)
    time.pass_by([loop], 1.0)
    assert all(task.done() for task in sending)
    loop.close()
    for owner, at in committed:
        assert any(who == owner and at <= when <= at + PAUSE_S * 1.01 for who, when in told)
    for owner in (RuntimeId(1), RuntimeId(2)):
        times = [when for who, when in told if who == owner]
        assert all(later - earlier >= PAUSE_S * 0.99 for earlier, later in pairwise(times))


def test_what_is_owed_is_announced_when_the_sender_ends() -> None:
    time = VirtualTime()
    loop = time.new_loop()
    told: list[RuntimeId] = []

    async def ring(owner: RuntimeId) -> None:
        told.append(owner)

    async def story() -> None:
        bell = Doorbell(ring)
        bell.sent(RuntimeId(7), told=True)
        bell.sent(RuntimeId(7), told=False)
        await bell.close()

    task = loop.create_task(story())
    time.pass_by([loop], 0.001)
    assert task.done()
    loop.close()
    assert told == [7]
