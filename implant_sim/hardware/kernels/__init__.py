"""Loops compiled by numba: arrays and numbers in, arrays out, nothing checked.

Each has a slow twin in ``tests/naive.py`` that it equals.
"""
