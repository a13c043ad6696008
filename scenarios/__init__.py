"""Scenarios and implants that ship with the package: YAML only."""
