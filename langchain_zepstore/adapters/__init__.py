"""Sessions for agent frameworks: one thin module each, which needs the extra of its name."""
