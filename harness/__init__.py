"""Contracts and facts: registry, specs, records, data and backbones; knows no method, no task and no board."""
