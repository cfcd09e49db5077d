"""Moments in cursors: whole milliseconds, which is what the database holds."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def milliseconds_of(moment: datetime) -> int:
    """Return how many milliseconds after the epoch a moment is; a naive one is UTC's."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MILLISECOND


def moment_at(milliseconds: int) -> datetime:
    """Return the moment so many milliseconds after the epoch.

    Raises:
        OverflowError: No calendar reaches that far.
    """
    return _EPOCH + milliseconds * _MILLISECOND
