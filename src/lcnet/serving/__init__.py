"""`lcnet serve`: the page and the API."""
