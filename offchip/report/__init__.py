"""Verdict records (JSON is the truth) and the pages drawn from them."""
