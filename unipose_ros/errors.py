"""What an estimator and its parts refuse, the rule for what has been closed, and that for two threads."""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

Resource = TypeVar("Resource")


class EstimatorError(ValueError):
    """A frame or a setting cannot be used; the text names it and the remedy."""


class Closable(Generic[Resource]):
    """Holds a network or another resource until it is let go; later calls are refused.

    Args:
        resource: what is held.
        owner: in words, for the refusal: "the estimator".
    """

    def __init__(self, resource: Resource, owner: str) -> None:
        self._resource: Resource | None = resource
        self._owner = owner

    def get(self) -> Resource:
        """What is held.

        Raises:
            EstimatorError: it was closed.
        """
        if self._resource is None:
            raise EstimatorError(f"{self._owner} is closed; build another one")
        return self._resource

    def close(self) -> None:
        """Let it go; doing so twice does no harm."""
        self._resource = None


# The same networks for another thread.


@runtime_checkable
class Twinned(Protocol):
    """Something whose networks another thread may use at the same time, through a twin."""

    def twin(self) -> Any:
        """The same networks and settings without what is remembered of earlier frames; ``None`` where there is none.

        Its owner does not close it: the networks are the original's, and end with it.
        """
        ...


def twin_of(original: Resource) -> Resource | None:
    """A twin for another thread; ``None`` where it is not known whether two threads may use the original's parts."""
    twin: Resource | None = original.twin() if isinstance(original, Twinned) else None
    return twin
