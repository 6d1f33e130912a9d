"""This paper: its data sets, experiments, results and figures."""
