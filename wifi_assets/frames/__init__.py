"""What messages, SSIDs, addresses and devices mean; pure, without Dagster, Kafka or the lake."""
