"""A thread pool that goes on with the threads it has if the system gives no more."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.thread import ThreadPoolExecutor
from contextlib import suppress
from typing import ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class ThreadPool(ThreadPoolExecutor):
    """A pool whose `submit` does not fail for want of a thread (EAGAIN of pthread_create(3))."""

    def submit(
        self,
        fn: Callable[_Arguments, _Result],
        /,
        *args: _Arguments.args,
        **kwargs: _Arguments.kwargs,
    ) -> Future[_Result]:
        """Run `fn` in a thread, or here and now if not even one thread can be started."""
        future = super().submit(fn, *args, **kwargs)
        if not self._threads and future.cancel():
            return _done_here(lambda: fn(*args, **kwargs))
        return future

    def _adjust_thread_count(self) -> None:
        with suppress(RuntimeError):  # can't start new thread
            super()._adjust_thread_count()


def _done_here(do: Callable[[], _Result]) -> Future[_Result]:
    done: Future[_Result] = Future()
    try:
        done.set_result(do())
    except Exception as error:  # noqa: BLE001  # the caller gets it from the future
        done.set_exception(error)
    return done
