"""The five primitives: `write`, `read`, `transform`, `validate` and `foreach`, as plain functions over JSON values."""
