"""What an acknowledgement promises, and what it leaves at risk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from neuralake_kernel.errors import UsageError

__all__ = ["Acks", "AtRisk", "check_acks"]

Acks = Literal["none", "buffered", "durable"]


@dataclass(frozen=True, slots=True)
class AtRisk:
    """Messages and bytes that were acked and are not yet where nothing can lose them."""

    messages: int
    bytes: int


def check_acks(acks: str) -> None:
    """Refuse a mode that there is not.

    Raises
    ------
    UsageError
        ``acks-unknown``.
    """
    if acks not in get_args(Acks):
        modes = ", ".join(get_args(Acks))
        msg = f"Cannot produce with acks={acks!r}: there are {modes}."
        raise UsageError(msg, code="acks-unknown", hint="durable is the default, and the safe one.")
