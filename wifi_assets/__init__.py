"""wifi_assets: Wi-Fi packet captures through Kafka into day-partitioned Delta tables, run by Dagster."""
