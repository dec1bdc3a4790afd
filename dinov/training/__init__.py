"""Training on the open-set task: data, prompts, assignment, losses and the loop."""
