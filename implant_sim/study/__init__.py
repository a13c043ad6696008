"""One operating point or many: read, run, scored and kept."""
