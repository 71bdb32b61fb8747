"""Renode's platform descriptions (.repl) and monitor scripts (.resc), read without knowing any engine."""
