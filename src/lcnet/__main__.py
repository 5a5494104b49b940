"""`python -m lcnet` is `lcnet`."""

from lcnet.cli import main

main()
