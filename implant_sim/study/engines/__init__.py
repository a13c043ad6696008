"""Who runs the points of a study, and where."""
