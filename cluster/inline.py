"""Everything in this process, one after the other: for a debugger or a notebook."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cluster.executor import NOTHING_SPECIAL, Executor, Resources


@dataclass(eq=False)
class _Call:
    function: Callable[..., Any]
    args: tuple[Any, ...]
    value: Any = None
    error: Exception | None = None
    done: bool = field(default=False)


class InlineExecutor(Executor):
    """Runs a function when it is waited for. Resources are not counted."""

    slots = 1

    def submit(
        self,
        function: Callable[..., Any],
        *args: Any,
        resources: Resources = NOTHING_SPECIAL,
    ) -> _Call:
        return _Call(function, args)

    def wait(self, handles: Sequence[_Call], timeout: float) -> list[_Call]:
        waiting = [handle for handle in handles if not handle.done]
        if waiting and len(waiting) == len(handles):
            call = waiting[0]
            try:
                call.value = call.function(*call.args)
            except Exception as error:
                call.error = error
            call.done = True
        return [handle for handle in handles if handle.done]

    def result(self, handle: _Call) -> Any:
        if handle.error is not None:
            raise handle.error
        return handle.value

    def close(self) -> None:
        pass
