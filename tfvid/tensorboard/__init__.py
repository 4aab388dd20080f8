"""Explanations in TensorBoard: `summary` writes them, `plugin` shows them in a tab of its own."""
