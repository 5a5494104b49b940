"""What is shown of runs, data sets and models: pages, charts, figures and cards."""
