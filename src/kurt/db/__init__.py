"""The project's database: engine, schema and plain connections."""
