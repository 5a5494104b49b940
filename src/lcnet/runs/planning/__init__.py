"""`lcnet train --minutes`: a plan from facts and measured speed, and a run that keeps its time."""
