"""The network, a file per box of the figure."""
