"""From the linear start to trained weights: objectives, the step, the loop, evaluation."""
