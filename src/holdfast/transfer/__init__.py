"""Moving content: plan (pure), prove, carry, record."""
