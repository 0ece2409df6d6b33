"""What the bot must not forget over a restart: one small JSON file.

Here belongs what is in it and how it is written. Not here: what it means (``bot.py``, ``watch.py``).
"""

from pathlib import Path

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from wifi_assets.whole_file import write_whole


class StateError(RuntimeError):
    """The file cannot be used; one sentence says which and what to do."""


class State(BaseModel):
    """The bot's memory. What a message causes is stored with its confirmation, before anything is said.

    Attributes:
        bot: Telegram's number of the bot whose updates these are.
        offset: Confirms what was read; None once Telegram has taken that. It is not kept longer, since Telegram
            begins anew at a random number after a week without updates.
        level: Newest probe request of the lake when it was last looked at.
        watched: Chat -> watched name or address -> its last probe request that counted.
        outbox: Chat and text of what is still to be said, in order.
    """

    bot: int | None = None
    offset: int | None = None
    level: AwareDatetime | None = None
    watched: dict[int, dict[str, AwareDatetime | None]] = Field(default_factory=dict)
    outbox: list[tuple[int, str]] = Field(default_factory=list)


def load(path: Path) -> State:
    """The state in this file; an empty one if there is none.

    Raises:
        StateError: It cannot be read, or holds something else.
    """
    try:
        return State.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return State()
    except ValidationError:
        raise StateError(f"{path} is no state of the bot: repair it, or delete it and watch the devices anew") from None
    except OSError as error:
        raise StateError(f"cannot read {path}: {error.strerror or error}") from error


def save(state: State, path: Path) -> None:
    """Write the file whole or not at all; readable for its owner alone.

    Raises:
        StateError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, state.model_dump_json(indent=1).encode(), private=True)
    except OSError as error:
        raise StateError(f"cannot write {path}: {error.strerror or error}") from error
