"""Values of rows on a terminal and as JSON, for every command that prints rows.

Here belongs that what was heard in the air can't command the terminal. Not here: what is printed.
"""

from wifi_assets.frames.ssid import printable, ssid_text


def json_value(value: object) -> object:
    """The value as the json module takes it: bytes as an SSID's text, times and dates as ISO 8601 has them."""
    if isinstance(value, bytes):
        return ssid_text(value)
    if isinstance(value, dict):
        return {str(name): json_value(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(one) for one in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def shown(value: object) -> str:
    """A cell that can't command the terminal: bytes and control characters as they are in an SSID's text."""
    if value is None:
        return ""
    if isinstance(value, list):
        return f"[{', '.join(shown(one) for one in value)}]"
    text = ssid_text(value) if isinstance(value, bytes) else str(value)
    return printable(text)
