# SPDX-License-Identifier: Apache-2.0
"""Whyscope: arguments → window or command line. Imports nothing heavy."""

import sys


def main() -> None:
    """Run the program with the words of the command line."""
    from viewer.cli import run

    run(sys.argv[1:])


if __name__ == "__main__":
    main()
