"""The simulation as a Hypothesis state machine: what happens is drawn, checked after each step, and shrunk."""

from __future__ import annotations

import random
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.simulation import actions
from tests.simulation.world import World

DICE = st.tuples(*[st.integers(0, 99)] * 4).map(lambda digits: sum(n * 100**place for place, n in enumerate(digits)))
"""A large number in parts: among large ones Hypothesis prefers those in the sources of whatever is imported, so that
what is drawn would depend on the tests that ran before.
"""


class SystemMachine(RuleBasedStateMachine):
    """Each rule is one action; its dice are drawn."""

    processes: ClassVar[int] = 1
    world: World | None = None

    @initialize(seed=DICE, dags=st.integers(1, 3))
    def begin(self, seed: int, dags: int) -> None:
        self.world = World(seed, processes=self.processes, dags=dags, durable=True)

    def act(self, action: actions.Action, dice: int) -> None:
        assert self.world is not None
        action(self.world, random.Random(dice))
        self.world.pass_by(0.01 if dice % 2 else 0.0)

    @rule(dice=DICE, action=st.sampled_from(list(dict.fromkeys(actions.WORK))))
    def work(self, action: actions.Action, dice: int) -> None:
        self.act(action, dice)

    @rule(dice=DICE)
    def attempts_end(self, dice: int) -> None:
        self.act(actions.end_many, dice)

    @rule(dice=DICE, action=st.sampled_from(list(dict.fromkeys(actions.TRIGGERS))))
    def triggers(self, action: actions.Action, dice: int) -> None:
        self.act(action, dice)

    @rule(dice=DICE, action=st.sampled_from(list(dict.fromkeys(actions.DURABLE))))
    def durable(self, action: actions.Action, dice: int) -> None:
        self.act(action, dice)

    @rule(dice=DICE, action=st.sampled_from(list(dict.fromkeys(actions.PEOPLE))))
    def people(self, action: actions.Action, dice: int) -> None:
        self.act(action, dice)

    @rule(dice=DICE, action=st.sampled_from(list(dict.fromkeys(actions.FAULTS))))
    def trouble(self, action: actions.Action, dice: int) -> None:
        self.act(action, dice)

    def teardown(self) -> None:
        """All comes to its end and is judged."""
        if self.world is not None:
            try:
                self.world.run_out()
            finally:
                self.world.close()


class TwoRuntimes(SystemMachine):
    """The same with two runtimes on one database."""

    processes = 2
