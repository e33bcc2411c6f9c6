"""The topics of MQTT 5 that MinT uses, and who may write each.

One place builds every topic; the broker's ACL (mosquitto/) and the envelope check (mint/envelope.py) both
rest on it. `{fog}`, `{device}`, ... are names (mint/names.py), so no level can hold a wildcard or a slash.
"""

from __future__ import annotations

from dataclasses import dataclass

from mint.names import Role

PREFIX = "mint/1"


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one fog."""

    fog: str

    def _of(self, *levels: str) -> str:
        return "/".join((PREFIX, self.fog, *levels))

    def charter(self) -> str:
        """Retained: the operator's signed charter."""
        return self._of("charter")

    def state(self, device: str) -> str:
        """Retained: an agent's birth, and its death as last will."""
        return self._of("agent", device, "state")

    def sample(self, device: str) -> str:
        """An agent's sample of every miner on its device, one a period."""
        return self._of("agent", device, "sample")

    def device_of_sample(self, topic: str) -> str | None:
        """The device whose samples come on a topic; None: it is another topic."""
        head, _, last = topic.rpartition("/")
        prefix = self._of("agent") + "/"
        return head[len(prefix) :] if last == "sample" and head.startswith(prefix) else None

    def ack(self, device: str) -> str:
        """The manager's word that samples are stored."""
        return self._of("ack", device)

    def frame(self) -> str:
        """The manager's frames, one a tick."""
        return self._of("frame")

    def frame_request(self) -> str:
        """Anyone's request for frames by number."""
        return self._of("frame", "request")

    def frame_reply(self, client: str) -> str:
        """The answer to the request of `client`."""
        return self._of("frame", "reply", client)

    def twin(self, miner: str) -> str:
        """A miner's twin, for people."""
        return self._of("twin", miner)

    def behaviour(self, detector: str) -> str:
        """A detector's scores of every miner, for people."""
        return self._of("behaviour", detector)

    def alarm(self, detector: str) -> str:
        """A detector's alarms, for people."""
        return self._of("alarm", detector)

    def vote(self, detector: str) -> str:
        """A detector's votes."""
        return self._of("vote", detector)

    def verdict(self, publisher: str, miner: str) -> str:
        """Retained: a verdict on `miner`, assembled by `publisher`."""
        return self._of("verdict", publisher, miner)

    def receipt(self, enforcer: str) -> str:
        """What an enforcer did, or saw."""
        return self._of("receipt", enforcer)

    def fault(self, node: str) -> str:
        """A proof of misconduct, published by `node`."""
        return self._of("fault", node)

    def block(self) -> str:
        """The miners' blocks, as they are found."""
        return self._of("chain", "block")

    def share(self, device: str) -> str:
        """The shares that the miners of a device found, in batches."""
        return self._of("chain", "share", device)

    def block_request(self) -> str:
        """An agent's request for blocks that it lacks."""
        return self._of("chain", "request")

    def block_reply(self, client: str) -> str:
        """The answer to the request of `client`."""
        return self._of("chain", "reply", client)


def may_write(role: Role, name: str, topics: Topics) -> tuple[str, ...]:
    """Topic filters that a node of `role` called `name` may publish to.

    The operator's key signs charters and is on no machine of the network; whoever holds it publishes them.
    """
    match role:
        case Role.OPERATOR:
            return (topics.charter(),)
        case Role.MANAGER:
            return (
                topics.charter(),
                topics.ack("+"),
                topics.frame(),
                topics.frame_request(),
                topics.frame_reply("+"),
                topics.twin("+"),
                topics.verdict(name, "+"),
                topics.fault(name),
            )
        case Role.AGENT:
            return (
                topics.state(name),
                topics.sample(name),
                topics.block(),
                topics.share(name),
                topics.block_request(),
                topics.block_reply("+"),
            )
        case Role.DETECTOR:
            return (
                topics.behaviour(name),
                topics.alarm(name),
                topics.vote(name),
                topics.verdict(name, "+"),
                topics.frame_request(),
                topics.frame_reply("+"),
                topics.fault(name),
            )
        case Role.ENFORCER:
            return (topics.receipt(name), topics.frame_request(), topics.fault(name))
        case Role.CONSOLE:
            return (topics.frame_request(),)


def may_read(role: Role, name: str, topics: Topics) -> tuple[str, ...]:
    """Topic filters that a node of `role` called `name` may subscribe to.

    Agents run on devices that may be hostile: they read what they need, and of their neighbours only what the ledger is
    made of.
    """
    if role is Role.AGENT:
        return (
            topics.charter(),
            topics.ack(name),
            topics.verdict("+", "+"),
            topics.fault("+"),
            topics.vote("+"),
            topics.block(),
            topics.share("+"),
            topics.block_request(),
            topics.block_reply(name),
        )
    return (f"{PREFIX}/{topics.fog}/#",)
