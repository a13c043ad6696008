"""Pure functions: a formula, the unit of each argument, a reference, a doctest.

Nothing here knows of components, prices or schedules. All numbers are SI.
"""
