"""`lcnet predict` and `Predictor`: pictures to labels, rows in files, and explanations."""
