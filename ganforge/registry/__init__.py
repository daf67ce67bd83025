"""Plugins and the components they provide: hooks, lookup by kind and name, schema, validation."""
