"""Answers to what people ask next: who holds this place, why there, why does this node stay, what does this step do."""
