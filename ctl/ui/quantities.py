"""Numbers with units, short enough for a table."""

_UNITS = ("kB", "MB", "GB", "TB")


def duration(seconds: float) -> str:
    """A length of time, in its two largest units.

    Example:
        >>> duration(7455)
        '2h 4m'
    """
    whole = int(seconds)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if days:
        return f"{days}d {hours % 24}h"
    if hours:
        return f"{hours}h {minutes % 60}m"
    return f"{minutes}m {whole % 60}s" if minutes else f"{whole}s"


def size(number: int) -> str:
    """A number of bytes.

    Example:
        >>> size(41_300)
        '41 kB'
    """
    if number < 1000:
        return f"{number} B"
    value = float(number)
    unit = ""
    for unit in _UNITS:  # noqa: B007 - the unit that the loop ends with
        value /= 1000
        if value < 999.5:
            break
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"


def count(number: int, noun: str) -> str:
    """A number of things.

    Example:
        >>> count(1, "host"), count(2, "process")
        ('1 host', '2 processes')
    """
    plural = "es" if noun.endswith("s") else "s"
    return f"{number} {noun if number == 1 else noun + plural}"
