"""Threads for work, as many as can be had: where the system gives no more of them, work goes on with those that are there."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class Workers(ThreadPoolExecutor):
    """A pool whose `submit` does not fail for want of a thread (EAGAIN of pthread_create(3))."""

    _is_begun = False
    """Whether the thread for the work that is being submitted was begun already."""

    def submit(self, fn: Callable[_Arguments, _Result], /, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> Future[_Result]:
        """Have a thread do it; if there is not even one, it is done here and now."""
        if not (self._threads or self._shutdown):
            self._adjust_thread_count()
            if not self._threads:
                return _done_here(lambda: fn(*args, **kwargs))
            self._is_begun = True
        return super().submit(fn, *args, **kwargs)

    def _adjust_thread_count(self) -> None:
        if self._is_begun:
            self._is_begun = False
            return
        try:
            super()._adjust_thread_count()
        except RuntimeError:  # can't start new thread
            return


def _done_here(do: Callable[[], _Result]) -> Future[_Result]:
    done: Future[_Result] = Future()
    try:
        done.set_result(do())
    except Exception as error:  # noqa: BLE001  # whoever waits for it gets it
        done.set_exception(error)
    return done
