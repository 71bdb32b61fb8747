"""Real Renode behind the engine protocol, one worker process per board."""
