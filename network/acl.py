"""The broker's access list, made from the one place that says who may write and read what (mint/topics.py)."""

from __future__ import annotations

from collections.abc import Iterable

from mint.errors import InputError
from mint.names import Role, checked_name
from mint.topics import Topics, may_read, may_write

_HEAD = """\
# Made by mint from mint/topics.py; changes here are lost. Whoever is not named, and every topic that is not, is
# refused: Mosquitto denies what no line grants. No `pattern` lines, for they would hold for every user.
"""


def acl(nodes: Iterable[tuple[str, Role]], topics: Topics) -> str:
    """Mosquitto's acl_file for `nodes` (name, role) of one fog: rules by user, who is the certificate's name.

    The same nodes give the same bytes, whatever their order.

    Raises:
        InputError: a name is no name, or two nodes share it.
    """
    parts = [_HEAD]
    previous = ""
    for name, role in sorted(nodes):
        checked_name(name, "access list")
        if name == previous:
            raise InputError(
                "access list", f"two nodes are called {name}", "give every node a name of its own"
            )
        previous = name
        parts.append(f"\n# {role}\nuser {name}\n")
        parts += [f"topic write {filter_}\n" for filter_ in may_write(role, name, topics)]
        parts += [f"topic read {filter_}\n" for filter_ in may_read(role, name, topics)]
    return "".join(parts)
