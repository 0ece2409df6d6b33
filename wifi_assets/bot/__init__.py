"""A Telegram bot that answers when a device was last seen, and tells when a watched one appears."""
