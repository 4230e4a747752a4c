"""From rows to a fitted model: options, budget, where training begins, the fit, batch by batch."""
