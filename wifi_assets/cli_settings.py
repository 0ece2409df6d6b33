"""The settings for a command, with a sentence where one is wrong."""

import click
from pydantic import ValidationError
from pydantic_settings import SettingsError

from wifi_assets.settings import MisspeltError, Settings


def settings_or_usage_error() -> Settings:
    """The settings.

    Raises:
        click.UsageError: A setting is wrong; its value is not shown, for it may be a secret.
    """
    try:
        return Settings()
    except MisspeltError as error:
        raise click.UsageError(f"a setting is wrong: {error}") from None
    except ValidationError as error:
        wrong = "; ".join(
            f"WIFI_{'_'.join(str(part) for part in one['loc']).upper()}: {one['msg']}" for one in error.errors()
        )
        raise click.UsageError(f"a setting is wrong: {wrong}") from None
    except SettingsError as error:
        raise click.UsageError(f"a setting is wrong: {error}: it must be JSON") from None
