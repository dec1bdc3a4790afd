"""Training on both tasks: data, prompts, assignment, losses and the loop."""
