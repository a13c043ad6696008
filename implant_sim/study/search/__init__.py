"""Search of a design space: what to ask next, what it costs to know, and what was found."""
