"""How many input tokens may be on their way at once: a setting, or learnt from what the server turns away."""

from __future__ import annotations

from pixelbrain.asking.request.failures import StopJob

__all__ = ["TokenQueue"]

#: Batches turned away in a row before we give up; each waits longer than the one before.
_MAX_REFUSALS = 10


class TokenQueue:
    """The account's queue of one model.

    Args:
        limit: input tokens; None: not known.
    """

    def __init__(self, limit: int | None) -> None:
        self._setting = limit
        self._learnt: int | None = None
        self._wave: int | None = None  # less than the limit, because others fill the queue too
        self._refusals = 0

    @property
    def limit(self) -> int | None:
        """Input tokens that may be on their way; None: not known."""
        known = [limit for limit in (self._setting, self._learnt, self._wave) if limit is not None]
        return min(known) if known else None

    @property
    def refusals(self) -> int:
        """Batches turned away since the last one that was not."""
        return self._refusals

    def fits(self, tokens: int, *, enqueued: int, in_file: int) -> bool:
        """One more request may go into the batch that is being made.

        A batch is not begun for a small corner of the queue, and one request alone is always tried.

        Args:
            tokens: of the request.
            enqueued: of the batches on their way.
            in_file: of the batch that is being made.
        """
        limit = self.limit
        if limit is None or not (enqueued or in_file):
            return True
        if not in_file and limit - enqueued < limit / 4:
            return False
        return enqueued + in_file + tokens <= limit

    def refused(self, tokens: int, *, enqueued: int, said: int | None) -> None:
        """A batch was turned away.

        Args:
            tokens: of the batch, by our estimate.
            enqueued: of our other batches on their way.
            said: the limit that the server named.

        Raises:
            StopJob: this happened too often in a row.
        """
        self._refusals += 1
        if self._refusals >= _MAX_REFUSALS:
            raise StopJob(
                f"the account's queue of batch tokens had no room for {tokens:,} more, {self._refusals} times in a "
                "row: other batches fill it; run the same command again when they are done"
            )
        if said is not None:
            self._learnt = said
        if said is None or tokens + enqueued <= said:  # it would have fitted, were it not for others
            self._wave = max(1, tokens // 2)

    def accepted(self) -> None:
        """A batch was let in."""
        self._refusals = 0
        if self._wave is not None:
            self._wave *= 2
            known = [limit for limit in (self._setting, self._learnt) if limit is not None]
            if known and self._wave >= min(known):
                self._wave = None
