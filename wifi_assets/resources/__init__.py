"""The servers at both ends: Kafka, MongoDB, Postgres, Elasticsearch, Neo4j."""
