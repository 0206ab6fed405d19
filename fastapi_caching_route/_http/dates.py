"""HTTP dates (RFC 9110 §5.6.7) in all three forms, read as leniently as by deployed caches."""

import re
from datetime import datetime, timezone

_MONTHS = {
    name: number
    for number, name in enumerate(
        ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'], 1
    )
}
_TIME = r'(?P<time>\d\d:\d\d:\d\d)'
_FORMS = (
    # Sun, 06 Nov 1994 08:49:37 GMT
    re.compile(
        rf'[a-z]+,\s*(?P<day>\d{{1,2}}) (?P<month>[a-z]{{3}}) (?P<year>\d{{4}}) {_TIME} gmt',
        re.IGNORECASE,
    ),
    # Sunday, 06-Nov-94 08:49:37 GMT
    re.compile(rf'[a-z]+,\s*(?P<day>\d{{1,2}})-(?P<month>[a-z]{{3}})-(?P<year>\d\d) {_TIME} gmt', re.IGNORECASE),
    # Sun Nov  6 08:49:37 1994
    re.compile(rf'[a-z]+ (?P<month>[a-z]{{3}}) +(?P<day>\d{{1,2}}) {_TIME} (?P<year>\d{{4}})', re.IGNORECASE),
)


def timestamp(value: bytes, now: float) -> float | None:
    """Seconds since the epoch of an HTTP date; None if it is invalid.

    A year of two digits is the latest one that is at most fifty years ahead.
    """
    text = value.decode('latin-1').strip(' \t')
    found = next((match for match in (form.fullmatch(text) for form in _FORMS) if match), None)
    if found is None or found['month'].lower() not in _MONTHS:
        return None
    hours, minutes, seconds = map(int, found['time'].split(':'))
    try:
        year = _year(found['year'], now)
        date = datetime(
            year,
            _MONTHS[found['month'].lower()],
            int(found['day']),
            hours,
            minutes,
            min(seconds, 59),
            tzinfo=timezone.utc,
        )
    except ValueError:
        return None
    return date.timestamp() + max(0, seconds - 59)  # a leap second is one more


def _year(digits: str, now: float) -> int:
    if len(digits) > 2:
        return int(digits)
    this_year = datetime.fromtimestamp(now, timezone.utc).year
    year = this_year - this_year % 100 + int(digits)
    return year - 100 if year > this_year + 50 else year
