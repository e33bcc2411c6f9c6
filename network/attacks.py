"""How a miner cheats: what it raises its real quota to, behind MinT's back, and when; and what else it does.

The attacker is root on the miner's host. It writes the kernel's file directly, as a cheat would; it gives up
once somebody has put the quota back. It may have the device's agent lie for it (lying_agent.py), end the device's
enforcer, or put another program in the pinned one's place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mint.containers.model import MIN_QUOTA_US, Hold, Quota
from mint.errors import ContainerError, InputError


@dataclass(frozen=True, slots=True)
class Attack:
    """One way to cheat: how many do it, and the factor on the entitlement `t` seconds after it began.

    `lies`: the agent tells no more than is fair. `disarms`: the enforcer is ended as the attack begins. `swaps`: the
    miner's program, which is pinned to plain code, is replaced by one that uses what the processor can do. `seconds`:
    how long a demo takes that shows all of it.
    """

    name: str
    about: str
    cheats: int
    start: float  # factor at t = 0
    step: float = 0.0  # added to the factor
    every_s: float = 0.0  # after each such time
    most: float = 1.0  # and never above this
    from_start: bool = False
    lies: bool = False
    disarms: bool = False
    swaps: bool = False
    seconds: float = 60.0

    def factor(self, t_s: float) -> float:
        """What the quota is multiplied by `t_s` seconds after the attack began."""
        steps = int(t_s / self.every_s) if self.every_s else 0
        return min(self.start + self.step * steps, max(self.most, self.start))


ATTACKS = {
    attack.name: attack
    for attack in (
        Attack("double", "one miner doubles its quota", 1, 2.0),
        Attack("steps", "one miner adds 20 % every ten seconds, four times", 1, 1.2, 0.2, 10.0, 1.8),
        Attack("collude", "three miners add 10 % at the same moment", 3, 1.1),
        Attack("ramp", "one miner adds 1 % a second, up to double", 1, 1.01, 0.01, 1.0, 2.0),
        Attack(
            "from-start", "one miner runs at double its quota from the first second", 1, 2.0, from_start=True
        ),
        Attack(
            "liar",
            "one miner doubles its quota, and its agent tells half of what it uses",
            1,
            2.0,
            lies=True,
            seconds=150.0,
        ),
        Attack(
            "rogue-host",
            "one miner doubles its quota, and its host ends the enforcer",
            1,
            2.0,
            disarms=True,
            seconds=120.0,
        ),
        Attack(
            "swap", "one miner runs faster code than the pinned program", 1, 1.0, swaps=True, seconds=90.0
        ),
        Attack("none", "everyone is honest", 0, 1.0),
    )
}


def attack_named(name: str) -> Attack:
    """The attack called `name`.

    Raises:
        InputError: there is none.
    """
    try:
        return ATTACKS[name]
    except KeyError:
        raise InputError("--attack", f"{name!r} is no attack", f"use one of {', '.join(ATTACKS)}") from None


class Attacker:
    """Raises the quotas of some holds as its attack says."""

    def __init__(self, attack: Attack, holds: Mapping[str, Hold], entitled: Mapping[str, int]) -> None:
        """`entitled`: each miner's quota in microseconds a period when it is fair."""
        self.attack, self._holds, self._entitled = attack, holds, entitled
        self._set: dict[str, int] = {}
        self.caught: set[str] = set()

    def act(self, t_s: float) -> None:
        """Set the quotas for `t_s` seconds after the beginning; a miner whose quota was put back is caught."""
        for name, hold in self._holds.items():
            if name in self.caught:
                continue
            wanted = max(MIN_QUOTA_US, round(self._entitled[name] * self.attack.factor(t_s)))
            try:
                actual = hold.quota()
                if name in self._set and actual.quota_us != self._set[name]:
                    self.caught.add(name)
                elif wanted != actual.quota_us:
                    hold.set_quota(Quota(wanted, actual.period_us))
                    self._set[name] = wanted
            except ContainerError:
                continue  # it is just being restarted; the next act finds it

    def restored(self) -> dict[str, bool]:
        """Whether each cheat's quota is at its entitlement or below now; below, where it was not raised."""
        done = {}
        for name, hold in self._holds.items():
            quota = hold.quota().quota_us
            most = self._entitled[name] - self.attack.swaps
            done[name] = quota is not None and quota <= most
        return done
