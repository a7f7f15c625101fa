"""What an estimator and its parts refuse, and the one rule for what has been closed."""

from __future__ import annotations

from typing import Generic, TypeVar

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
