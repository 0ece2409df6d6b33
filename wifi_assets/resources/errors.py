"""The error that every sink raises.

Here belongs only what the sinks share. Not here: the sentences; each target writes its own.
"""


class SinkError(RuntimeError):
    """A target did not take a change; one sentence says which server and why, without any secret.

    Nothing is recorded as written that was not: the next run takes the same change again.
    """
