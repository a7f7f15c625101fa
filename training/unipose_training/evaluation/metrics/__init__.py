"""What is measured: pose errors, tracking, uncertainty, motion, and checks that need no ground truth."""
