"""What the tests of the checks share: a drained topic, and runs of checks with what they say."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from wifi_assets.definitions import build_defs
from wifi_assets.demo.publish import Topic
from wifi_assets.settings import Settings
from wifi_assets_tests.services import Server
from wifi_assets_tests.support import settings_of, topic_with


class Checks:
    """Runs checks for real and remembers nothing but the instance."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance

    def run(self, settings: Settings, *keys: tuple[str, str]) -> dict[tuple[str, str], dg.AssetCheckEvaluation]:
        """The evaluations of these checks, of all without any; by asset and name."""
        defs = build_defs(settings)
        asset_checks = [dg.AssetCheckKey(dg.AssetKey(asset), name) for asset, name in keys]
        job = (
            dg.define_asset_job("some", selection=dg.AssetSelection.checks(*asset_checks)).resolve(
                asset_graph=defs.resolve_asset_graph()
            )
            if keys
            else defs.resolve_job_def("checks")
        )
        result = job.execute_in_process(instance=self.instance, raise_on_error=False)
        found = {
            (evaluation.asset_key.to_user_string(), evaluation.check_name): evaluation
            for evaluation in result.get_asset_check_evaluations()
        }
        assert set(keys) <= found.keys()
        return found

    def one(self, settings: Settings, asset: str, name: str) -> dg.AssetCheckEvaluation:
        """One check's evaluation."""
        return self.run(settings, (asset, name))[asset, name]


def numbers(evaluation: dg.AssetCheckEvaluation, *names: str) -> list[Any]:
    """These values of the metadata."""
    return [evaluation.metadata[name].value for name in names]


@pytest.fixture
def checks() -> Iterator[Checks]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Checks(instance)


@pytest.fixture
def topic(kafka: Server) -> Topic:
    return topic_with(kafka, partitions=2)


@pytest.fixture
def settings(topic: Topic, tmp_path: Path) -> Settings:
    return settings_of(topic, tmp_path / "lake")
