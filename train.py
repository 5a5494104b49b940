"""The released LCNet's command line, word for word; `lcnet train --help` has this project's own."""

from lcnet.cli.released_command import main

if __name__ == "__main__":
    main()
