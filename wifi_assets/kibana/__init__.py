"""What Kibana shows of the indices: the questions and the saved objects made from them."""

#: Id of the dashboard.
DASHBOARD = "wifi-assets-dashboard"


def data_view_id(table: str) -> str:
    """Id of the data view of a lake table's indices."""
    return f"wifi-assets-{table.replace('_', '-')}"
