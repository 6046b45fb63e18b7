"""The report: one HTML page that holds a plan, its film, and the description that it was made of."""
