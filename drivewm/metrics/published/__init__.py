"""Scores as others publish them, each with its formula, so that a figure can stand beside theirs."""
