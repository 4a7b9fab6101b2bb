"""Values and rules: keys, places, policy, outcomes, errors. No I/O, no clock, no settings."""
